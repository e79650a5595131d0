import type { Activation } from '@rwkv-ts/backend';

/** 1 / (1 + e^{-x}); overflow of the exponential gives 0, which is right. */
export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

const decay7Scale = -Math.exp(-0.5);

/** The element-wise functions of the contract, each the formula as written there. */
export const activationFunctions: { readonly [A in Activation]: (x: number) => number } = {
  tanh: Math.tanh,
  sigmoid,
  silu: (x) => x * sigmoid(x),
  relu2: (x) => Math.max(x, 0) ** 2,
  exp: Math.exp,
  'negative-exp': (x) => -Math.exp(x),
  'exp-negative-exp': (x) => Math.exp(-Math.exp(x)),
  decay7: (x) => Math.exp(decay7Scale * sigmoid(x)),
};

/** The derivatives of `activationFunctions`. `relu2` has none at 0 that differs from 0. */
export const activationDerivatives: { readonly [A in Activation]: (x: number) => number } = {
  tanh: (x) => 1 - Math.tanh(x) ** 2,
  sigmoid: (x) => sigmoid(x) * sigmoid(-x),
  silu: (x) => sigmoid(x) * (1 + x * sigmoid(-x)),
  relu2: (x) => 2 * Math.max(x, 0),
  exp: Math.exp,
  'negative-exp': (x) => -Math.exp(x),
  // One exponential: e^x alone would overflow to infinity, and infinity times 0 is NaN.
  'exp-negative-exp': (x) => -Math.exp(x - Math.exp(x)),
  decay7: (x) => decay7Scale * sigmoid(x) * sigmoid(-x) * Math.exp(decay7Scale * sigmoid(x)),
};
