import type { Value } from '@rwkv-ts/backend';
import { normal } from '../../src/random.js';
import type { OpScope } from '../op-scope.js';
import { large } from './draws.js';
import type { OpCases } from './types.js';

const emit = (scope: OpScope, x: Value, options?: { groups?: number; eps?: number }) => {
  const out = scope.value(x.width, x.rows);
  scope.emit({ kind: 'norm', out, x, ...scope.norm(x.width, options) });
  return out;
};

export const norm: OpCases<'norm'> = {
  kind: 'norm',
  variants: [
    { name: 'one group, odd width', build: (scope) => [emit(scope, scope.input(67))] },
    {
      name: 'three groups of 5',
      build: (scope) => [emit(scope, scope.input(15), { groups: 3, eps: 64e-5 })],
    },
    {
      name: 'two groups of 64',
      build: (scope) => [emit(scope, scope.input(128), { groups: 2, eps: 64e-5 })],
    },
    {
      name: 'variance as small as epsilon',
      build: (scope) => [emit(scope, scope.input(64, normal(0.025)), { groups: 2, eps: 64e-5 })],
    },
    {
      name: 'a constant row',
      build: (scope) => [
        emit(
          scope,
          scope.input(33, () => 3),
        ),
      ],
    },
    { name: 'large values', build: (scope) => [emit(scope, scope.input(67, large))] },
    {
      name: 'mean far from zero',
      build: (scope) => [
        emit(
          scope,
          scope.input(96, (random) => 100 + random.normal()),
        ),
      ],
      // x - mean loses log2(100) bits. Statistics in one pass, E[x²] - E[x]², would lose twice as many and fail.
      slack: 30,
    },
    { name: 'wanted rows', build: (scope) => [emit(scope, scope.wantedInput(67))] },
  ],
  bench: (scope, inputs, { channels }) => {
    emit(scope, inputs(channels));
  },
};
