import type { Value } from '@rwkv-ts/backend';
import type { OpScope } from '../op-scope.js';
import { large } from './draws.js';
import type { OpCases } from './types.js';

const emit = (scope: OpScope, x: Value, { start, width }: { start: number; width: number }) => {
  const out = scope.value(width, x.rows);
  scope.emit({ kind: 'slice', out, x, start });
  return out;
};

export const slice: OpCases<'slice'> = {
  kind: 'slice',
  variants: [
    {
      name: 'first, middle and last part of an odd width',
      build: (scope) => {
        const x = scope.input(67);
        return [
          emit(scope, x, { start: 0, width: 13 }),
          emit(scope, x, { start: 13, width: 40 }),
          emit(scope, x, { start: 66, width: 1 }),
        ];
      },
    },
    {
      name: 'the whole, large values',
      build: (scope) => [emit(scope, scope.input(128, large), { start: 0, width: 128 })],
    },
    {
      name: 'wanted rows',
      build: (scope) => [emit(scope, scope.wantedInput(64), { start: 32, width: 32 })],
    },
  ],
  bench: (scope, inputs, { channels }) => {
    emit(scope, inputs(channels), { start: 0, width: channels / 4 });
  },
};
