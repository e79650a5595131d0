/**
 * The contract's functions for every argument. `exp` of WGSL may err by 3 + 2|x| units in the last place, which the
 * bounds allow for; its `tanh` may overflow, or lose all digits near zero, and is not used.
 */
import type { Activation } from '@rwkv-ts/backend';

/** Order of the codes that a node carries; 0 is none. */
export const activationCodes: readonly (Activation | undefined)[] = [
  undefined,
  'tanh',
  'sigmoid',
  'silu',
  'relu2',
  'exp',
  'negative-exp',
  'exp-negative-exp',
  'decay7',
];

export const activationCode = (activation: Activation | undefined): number =>
  activationCodes.indexOf(activation);

/** The same formulas in double precision, for self-tests. */
export const activationFormulas: { readonly [A in Activation]: (x: number) => number } = {
  tanh: Math.tanh,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  silu: (x) => x / (1 + Math.exp(-x)),
  relu2: (x) => Math.max(x, 0) ** 2,
  exp: Math.exp,
  'negative-exp': (x) => -Math.exp(x),
  'exp-negative-exp': (x) => Math.exp(-Math.exp(x)),
  decay7: (x) => Math.exp(-Math.exp(-0.5) / (1 + Math.exp(-x))),
};

/**
 * tanh: an odd polynomial where 1 - 2 / (e^2x + 1) would cancel. sigmoid: of e^-|x|, which never overflows. The inner
 * exponential of e^-e^x is cut off where the outer one is 0 long since.
 */
export const mathFunctions = `
fn tanh1(x: f32) -> f32 {
  let a = abs(x);
  let s = x * x;
  let near = x * (1.0 + s * (-0.33333333333 + s * (0.13333333333 + s * (-0.053968253968 +
    s * (0.021869488536 + s * (-0.0088632355299 + s * 0.0035921280366))))));
  let far = 1.0 - 2.0 / (exp(2.0 * min(a, 20.0)) + 1.0);
  return select(sign(x) * far, near, a < 0.55);
}
fn sigmoid4(x: vec4f) -> vec4f {
  let e = exp(-abs(x));
  return select(e, vec4f(1.0), x >= vec4f(0.0)) / (1.0 + e);
}
fn activate(code: u32, x: vec4f) -> vec4f {
  switch code {
    case 1u: { return vec4f(tanh1(x.x), tanh1(x.y), tanh1(x.z), tanh1(x.w)); }
    case 2u: { return sigmoid4(x); }
    case 3u: { return x * sigmoid4(x); }
    case 4u: { let p = max(x, vec4f(0.0)); return p * p; }
    case 5u: { return exp(x); }
    case 6u: { return -exp(x); }
    case 7u: { return exp(-exp(min(x, vec4f(80.0)))); }
    case 8u: { return exp(-0.6065306597126334 * sigmoid4(x)); }
    default: { return x; }
  }
}
`;
