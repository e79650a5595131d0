import type { Value } from '@rwkv-ts/backend';
import type { OpScope } from '../op-scope.js';
import { large } from './draws.js';
import type { OpCases } from './types.js';

const emit = (scope: OpScope, x: Value) => {
  const out = scope.value(x.width, 'R');
  scope.emit({ kind: 'select-rows', out, x });
  return out;
};

export const selectRows: OpCases<'select-rows'> = {
  kind: 'select-rows',
  variants: [
    { name: 'odd width', build: (scope) => [emit(scope, scope.input(67))] },
    { name: 'width 1', build: (scope) => [emit(scope, scope.input(1))] },
    { name: 'large values, width 128', build: (scope) => [emit(scope, scope.input(128, large))] },
  ],
  bench: (scope, inputs, { channels }) => {
    emit(scope, inputs(channels));
  },
};
