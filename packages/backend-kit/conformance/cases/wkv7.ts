import type { Value } from '@rwkv-ts/backend';
import { type Draw, normal, uniform } from '../../src/random.js';
import type { OpScope } from '../op-scope.js';
import { direction, oneHot } from './draws.js';
import type { OpCases } from './types.js';

export interface Wkv7Shape {
  readonly heads: number;
  readonly size: number;
  /** How r, k and v are drawn; default normal. */
  readonly draw?: Draw;
  readonly w?: Value;
  readonly a?: Value;
  readonly b?: Value;
  readonly input?: (width: number) => Value;
}

/** Everything wkv7 and time-mix7 have in common. Removal vectors have length about 1, so the state does not blow up. */
export function wkv7Parts(scope: OpScope, shape: Wkv7Shape) {
  const { heads, size, draw, w, a, b, input } = shape;
  const width = heads * size;
  const value = (drawn?: Draw) => (input ? input(width) : scope.input(width, drawn));
  return {
    out: scope.value(width),
    r: value(draw),
    w: w ?? value(uniform(0.55, 1)),
    k: value(draw),
    v: value(draw),
    a: a ?? value(direction(size)),
    b: b ?? value(direction(4 * size)),
    heads,
    state: scope.state([heads, size, size]),
  };
}

const emit = (scope: OpScope, shape: Wkv7Shape) => {
  const parts = wkv7Parts(scope, shape);
  scope.emit({ kind: 'wkv7', ...parts });
  return parts.out;
};

export const wkv7: OpCases<'wkv7'> = {
  kind: 'wkv7',
  variants: [
    { name: 'three heads of 5', build: (scope) => [emit(scope, { heads: 3, size: 5 })] },
    { name: 'two heads of 64', build: (scope) => [emit(scope, { heads: 2, size: 64 })] },
    {
      name: 'large values',
      build: (scope) => [emit(scope, { heads: 1, size: 32, draw: normal(10) })],
    },
    {
      name: 'decays near 0 and at 1',
      build: (scope) => [
        emit(scope, {
          heads: 2,
          size: 8,
          w: scope.input(16, (random) => (random.uniform() < 0.5 ? 1 : 1e-3)),
        }),
      ],
    },
    {
      // The transition 1 - 2 κ κᵀ is a reflection: it keeps the state's length, so errors neither fade nor grow.
      name: 'doubled removal without decay: swaps',
      build: (scope) => {
        const a = scope.input(16, oneHot(8));
        const b = scope.value(16);
        scope.emit({ kind: 'scale', out: b, x: a, factor: -2 });
        return [emit(scope, { heads: 2, size: 8, w: scope.input(16, () => 1), a, b })];
      },
    },
  ],
  bench: (scope, input, { channels, heads }) => {
    emit(scope, { heads, size: channels / heads, input });
  },
};
