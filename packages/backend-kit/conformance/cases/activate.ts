import type { Activation, Value } from '@rwkv-ts/backend';
import { type Draw, uniform } from '../../src/random.js';
import type { OpScope } from '../op-scope.js';
import { large } from './draws.js';
import type { OpCases, OpVariant } from './types.js';

const emit = (scope: OpScope, x: Value, activation: Activation) => {
  const out = scope.value(x.width, x.rows);
  scope.emit({ kind: 'activate', out, x, activation });
  return out;
};

const middle = uniform(-12, 10);
/** Far inputs must saturate rather than become NaN; where the function itself grows, its values must fit in f16. */
const far: { readonly [A in Activation]: Draw } = {
  tanh: large,
  sigmoid: large,
  silu: large,
  relu2: uniform(-200, 200),
  exp: uniform(-1e4, 10),
  'negative-exp': uniform(-1e4, 10),
  'exp-negative-exp': large,
  decay7: large,
};

const variants = (Object.keys(far) as Activation[]).flatMap((activation): OpVariant[] => [
  {
    name: activation,
    build: (scope) => [
      emit(scope, scope.input(67, middle), activation),
      emit(scope, scope.wantedInput(33, middle), activation),
    ],
  },
  {
    name: `${activation}, far inputs`,
    build: (scope) => [emit(scope, scope.input(67, far[activation]), activation)],
    // A row may hold nothing but exp of numbers near -80, of which WGSL allows 3 + 2|x| units in the last place.
    slack: 8,
  },
]);

export const activate: OpCases<'activate'> = {
  kind: 'activate',
  variants,
  bench: (scope, inputs, { channels }) => {
    emit(scope, inputs(channels), 'silu');
  },
};
