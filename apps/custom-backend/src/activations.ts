/** The element-wise functions of the contract, as a table: a missing one is a compile error. */
import type { Activation } from '@rwkv-ts/backend';

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

export const activations: { readonly [A in Activation]: (x: number) => number } = {
  tanh: Math.tanh,
  sigmoid,
  silu: (x) => x * sigmoid(x),
  relu2: (x) => Math.max(x, 0) ** 2,
  exp: Math.exp,
  'negative-exp': (x) => -Math.exp(x),
  'exp-negative-exp': (x) => Math.exp(-Math.exp(x)),
  decay7: (x) => Math.exp(-Math.exp(-0.5) * sigmoid(x)),
};
