import type { Operand, Parameter, Value } from '@rwkv-ts/backend';
import { type Draw, normal, uniform } from '../../src/random.js';
import type { OpScope } from '../op-scope.js';
import { decays, storedDecays } from './draws.js';
import type { OpCases } from './types.js';

export interface Wkv6Shape {
  readonly heads: number;
  readonly size: number;
  readonly decay: Operand;
  readonly first?: Parameter;
  /** How r, k and v are drawn; default normal. */
  readonly draw?: Draw;
  readonly input?: (width: number, draw?: Draw) => Value;
}

/** Everything wkv6 and time-mix6 have in common. */
export function wkv6Parts(scope: OpScope, shape: Wkv6Shape) {
  const { heads, size, decay, draw } = shape;
  const width = heads * size;
  const input = shape.input ?? ((columns: number) => scope.input(columns, draw));
  return {
    out: scope.value(width),
    r: input(width),
    k: input(width),
    v: input(width),
    decay,
    first: shape.first ?? scope.parameter([heads, size], normal(0.5)),
    heads,
    state: scope.state([heads, size, size]),
  };
}

const emit = (scope: OpScope, shape: Wkv6Shape) => {
  const parts = wkv6Parts(scope, shape);
  scope.emit({ kind: 'wkv6', ...parts });
  return parts.out;
};

export const wkv6: OpCases<'wkv6'> = {
  kind: 'wkv6',
  variants: [
    {
      name: 'three heads of 5, decay a value',
      build: (scope) => [emit(scope, { heads: 3, size: 5, decay: scope.input(15, decays) })],
    },
    {
      name: 'two heads of 64, decay a parameter per channel',
      build: (scope) => [
        emit(scope, { heads: 2, size: 64, decay: scope.parameter([2, 64], decays) }),
      ],
    },
    {
      name: 'three heads of 8, decay and bonus per head, with forms',
      build: (scope) => [
        emit(scope, {
          heads: 3,
          size: 8,
          decay: scope.parameter([3], uniform(-5, 1), 'exp-negative-exp'),
          first: scope.parameter([3], uniform(-2, 1), 'exp'),
        }),
      ],
    },
    {
      name: 'decay per channel with a form, from 0 to 1',
      build: (scope) => [
        emit(scope, {
          heads: 2,
          size: 16,
          decay: scope.parameter([2, 16], storedDecays, 'exp-negative-exp'),
        }),
      ],
    },
    {
      name: 'large values',
      build: (scope) => [
        emit(scope, {
          heads: 1,
          size: 32,
          decay: scope.input(32, decays),
          draw: normal(10),
        }),
      ],
    },
  ],
  bench: (scope, input, { channels, heads }) => {
    emit(scope, { heads, size: channels / heads, decay: input(channels), input });
  },
};
