import type { Value } from '@rwkv-ts/backend';
import { normal } from '../../src/random.js';
import type { OpScope } from '../op-scope.js';
import type { OpCases } from './types.js';
import { wkv7Parts, type Wkv7Shape } from './wkv7.js';

const emit = (scope: OpScope, shape: Wkv7Shape, gate: Value) => {
  const parts = wkv7Parts(scope, shape);
  const { heads, size } = shape;
  const norm = scope.norm(parts.out.width, { groups: heads, eps: 64e-5 });
  const bonus = scope.parameter([heads, size], normal(0.3));
  scope.emit({ kind: 'time-mix7', ...parts, norm, bonus, gate });
  return parts.out;
};

export const timeMix7: OpCases<'time-mix7'> = {
  kind: 'time-mix7',
  variants: [
    {
      name: 'three heads of 5',
      build: (scope) => [emit(scope, { heads: 3, size: 5 }, scope.input(15))],
      scale: 'inputs',
    },
    {
      name: 'two heads of 64',
      build: (scope) => [emit(scope, { heads: 2, size: 64 }, scope.input(128))],
      scale: 'inputs',
    },
    {
      name: 'variance as small as epsilon',
      build: (scope) => [emit(scope, { heads: 2, size: 16, draw: normal(0.15) }, scope.input(32))],
      scale: 'inputs',
    },
  ],
  bench: (scope, input, { channels, heads }) => {
    emit(scope, { heads, size: channels / heads, input }, input(channels));
  },
};
