import type { Value } from '@rwkv-ts/backend';
import type { OpScope } from '../op-scope.js';
import { large } from './draws.js';
import type { OpCases } from './types.js';

const emit = (scope: OpScope, x: Value, initial: number | readonly number[] = 0) => {
  const out = scope.value(x.width);
  scope.emit({ kind: 'shift', out, x, state: scope.state([x.width], initial) });
  return out;
};

export const shift: OpCases<'shift'> = {
  kind: 'shift',
  variants: [
    { name: 'odd width', build: (scope) => [emit(scope, scope.input(67))] },
    {
      name: 'initial state per row',
      build: (scope) => [emit(scope, scope.input(5), [1, -2, 0.5, 0, 1024])],
    },
    { name: 'large values', build: (scope) => [emit(scope, scope.input(128, large), -0.75)] },
    {
      name: 'two shifts with states of their own',
      build: (scope) => [emit(scope, scope.input(9)), emit(scope, scope.input(9), 0.25)],
    },
  ],
  bench: (scope, inputs, { channels }) => {
    emit(scope, inputs(channels));
  },
};
