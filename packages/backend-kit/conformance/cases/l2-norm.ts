import type { Value } from '@rwkv-ts/backend';
import { normal } from '../../src/random.js';
import type { OpScope } from '../op-scope.js';
import { large } from './draws.js';
import type { OpCases } from './types.js';

const emit = (scope: OpScope, x: Value, { groups = 1, eps = 1e-12 } = {}) => {
  const out = scope.value(x.width, x.rows);
  scope.emit({ kind: 'l2-norm', out, x, groups, eps });
  return out;
};

export const l2Norm: OpCases<'l2-norm'> = {
  kind: 'l2-norm',
  variants: [
    { name: 'three groups of 5', build: (scope) => [emit(scope, scope.input(15), { groups: 3 })] },
    { name: 'two groups of 64', build: (scope) => [emit(scope, scope.input(128), { groups: 2 })] },
    {
      name: 'a row of zeros',
      build: (scope) => [
        emit(
          scope,
          scope.input(33, () => 0),
        ),
      ],
    },
    {
      name: 'length below epsilon',
      build: (scope) => [emit(scope, scope.input(16, normal(1e-3)), { groups: 2, eps: 0.5 })],
    },
    { name: 'large values', build: (scope) => [emit(scope, scope.input(67, large))] },
  ],
  bench: (scope, inputs, { channels, heads }) => {
    emit(scope, inputs(channels), { groups: heads });
  },
};
