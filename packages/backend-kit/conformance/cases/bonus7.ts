import type { Value } from '@rwkv-ts/backend';
import { normal } from '../../src/random.js';
import type { OpScope } from '../op-scope.js';
import type { OpCases } from './types.js';

interface Bonus7Input {
  readonly r: Value;
  readonly k: Value;
  readonly v: Value;
  readonly heads: number;
}

const emit = (scope: OpScope, { r, k, v, heads }: Bonus7Input) => {
  const out = scope.value(r.width);
  const by = scope.parameter([heads, r.width / heads], normal(0.5));
  scope.emit({ kind: 'bonus7', out, r, k, v, by, heads });
  return out;
};

const inputs = (scope: OpScope, width: number) => ({
  r: scope.input(width),
  k: scope.input(width),
  v: scope.input(width),
});

export const bonus7: OpCases<'bonus7'> = {
  kind: 'bonus7',
  variants: [
    {
      name: 'three heads of 5',
      build: (scope) => [emit(scope, { ...inputs(scope, 15), heads: 3 })],
    },
    {
      name: 'two heads of 64',
      build: (scope) => [emit(scope, { ...inputs(scope, 128), heads: 2 })],
    },
    {
      name: 'large values',
      build: (scope) => [
        emit(scope, { ...inputs(scope, 32), v: scope.input(32, normal(300)), heads: 1 }),
      ],
      // The sum over the head cancels in some rows, whose numbers all shrink with it: f32 sums err by a unit of its terms.
      slack: 4,
    },
  ],
  bench: (scope, input, { channels, heads }) => {
    emit(scope, { r: input(channels), k: input(channels), v: input(channels), heads });
  },
};
