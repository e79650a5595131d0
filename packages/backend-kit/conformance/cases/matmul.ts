import type { Value } from '@rwkv-ts/backend';
import type { OpScope } from '../op-scope.js';
import { large } from './draws.js';
import type { OpCases } from './types.js';

const emit = (scope: OpScope, x: Value, width: number) => {
  const out = scope.value(width, x.rows);
  scope.emit({ kind: 'matmul', out, x, weight: scope.matrix(width, x.width) });
  return out;
};

export const matmul: OpCases<'matmul'> = {
  kind: 'matmul',
  variants: [
    { name: 'odd sizes', build: (scope) => [emit(scope, scope.input(67), 43)] },
    { name: 'one by one', build: (scope) => [emit(scope, scope.input(1), 1)] },
    { name: 'wide to narrow', build: (scope) => [emit(scope, scope.input(260), 3)] },
    { name: 'narrow to wide', build: (scope) => [emit(scope, scope.input(5), 259)] },
    { name: 'round sizes', build: (scope) => [emit(scope, scope.input(128), 96)] },
    { name: 'large values', build: (scope) => [emit(scope, scope.input(67, large), 43)] },
    { name: 'wanted rows', build: (scope) => [emit(scope, scope.wantedInput(67), 101)] },
  ],
  bench: (scope, inputs, { channels }) => {
    emit(scope, inputs(channels), channels);
  },
};
