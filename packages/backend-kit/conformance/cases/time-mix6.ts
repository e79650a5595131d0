import type { Value } from '@rwkv-ts/backend';
import { normal, uniform } from '../../src/random.js';
import type { OpScope } from '../op-scope.js';
import { decays } from './draws.js';
import type { OpCases } from './types.js';
import { wkv6Parts, type Wkv6Shape } from './wkv6.js';

const emit = (scope: OpScope, shape: Wkv6Shape, gate?: Value) => {
  const parts = wkv6Parts(scope, shape);
  const norm = scope.norm(parts.out.width, { groups: shape.heads, eps: 64e-5 });
  scope.emit({ kind: 'time-mix6', ...parts, norm, ...(gate ? { gate } : {}) });
  return parts.out;
};

export const timeMix6: OpCases<'time-mix6'> = {
  kind: 'time-mix6',
  variants: [
    {
      name: 'three heads of 5, decay a value, gate',
      build: (scope) => [
        emit(scope, { heads: 3, size: 5, decay: scope.input(15, decays) }, scope.input(15)),
      ],
    },
    {
      name: 'two heads of 64, decay a parameter per channel, no gate',
      build: (scope) => [
        emit(scope, { heads: 2, size: 64, decay: scope.parameter([2, 64], decays) }),
      ],
    },
    {
      name: 'decay and bonus per head, with forms',
      build: (scope) => [
        emit(
          scope,
          {
            heads: 3,
            size: 8,
            decay: scope.parameter([3], uniform(-5, 1), 'exp-negative-exp'),
            first: scope.parameter([3], uniform(-2, 1), 'exp'),
          },
          scope.input(24),
        ),
      ],
    },
    {
      name: 'variance as small as epsilon',
      build: (scope) => [
        emit(scope, { heads: 2, size: 16, decay: scope.input(32, decays), draw: normal(0.15) }),
      ],
    },
  ],
  bench: (scope, input, { channels, heads }) => {
    const shape = { heads, size: channels / heads, decay: input(channels), input };
    emit(scope, shape, input(channels));
  },
};
