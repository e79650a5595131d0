import type { Activation } from '@rwkv-ts/backend';

const table: { readonly [A in Activation]: true } = {
  tanh: true,
  sigmoid: true,
  silu: true,
  relu2: true,
  exp: true,
  'negative-exp': true,
  'exp-negative-exp': true,
  decay7: true,
};

/** Every activation of the contract. */
export const activations = Object.keys(table) as readonly Activation[];
