import type { Value } from '@rwkv-ts/backend';
import { normal } from '../../src/random.js';
import type { OpScope } from '../op-scope.js';
import { large } from './draws.js';
import type { OpCases } from './types.js';

const emit = (scope: OpScope, { x, m, width }: { x: Value; m: Value; width: number }) => {
  const out = scope.value(width);
  scope.emit({ kind: 'row-matmul', out, x, m });
  return out;
};

export const rowMatmul: OpCases<'row-matmul'> = {
  kind: 'row-matmul',
  variants: [
    {
      name: '7 to 11',
      build: (scope) => [emit(scope, { x: scope.input(7), m: scope.input(77), width: 11 })],
    },
    {
      name: '11 to 1',
      build: (scope) => [emit(scope, { x: scope.input(11), m: scope.input(11), width: 1 })],
    },
    {
      name: '32 to 32, large values',
      build: (scope) => [
        emit(scope, { x: scope.input(32, large), m: scope.input(1024, normal(0.1)), width: 32 }),
      ],
    },
  ],
  bench: (scope, inputs) => {
    emit(scope, { x: inputs(32), m: inputs(1024), width: 32 });
  },
};
