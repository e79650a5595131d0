import type { Value } from '@rwkv-ts/backend';
import { uniform } from '../../src/random.js';
import type { OpScope } from '../op-scope.js';
import type { OpCases } from './types.js';

const emit = (scope: OpScope, x: Value, factor: number) => {
  const out = scope.value(x.width, x.rows);
  scope.emit({ kind: 'scale', out, x, factor });
  return out;
};

export const scale: OpCases<'scale'> = {
  kind: 'scale',
  variants: [
    { name: 'by -1, odd width', build: (scope) => [emit(scope, scope.input(67), -1)] },
    { name: 'by 0', build: (scope) => [emit(scope, scope.input(67), 0)] },
    {
      name: 'by a third, large values',
      build: (scope) => [emit(scope, scope.input(33, uniform(-3e4, 3e4)), 1 / 3)],
    },
    { name: 'wanted rows', build: (scope) => [emit(scope, scope.wantedInput(67), 0.125)] },
  ],
  bench: (scope, inputs, { channels }) => {
    emit(scope, inputs(channels), 0.5);
  },
};
