/**
 * Logarithm, exponential and power from additions, products and quotients alone: engines differ in the last bits of
 * `Math.log`, `Math.exp` and `Math.pow`, and the same seed is to give the same model on all of them. Good to a few units
 * in the last place of f64, for the moderate numbers of an initialisation.
 */

const bits = new DataView(new ArrayBuffer(8));
/** ln 2 in two parts, the first with so few bits that its products with exponents are exact. */
const ln2High = 0.6931471803691238;
const ln2Low = 1.9082149292705877e-10;

/** Of a positive, normal number. */
export function logarithm(x: number): number {
  bits.setFloat64(0, x);
  const high = bits.getUint32(0);
  let exponent = (high >>> 20) - 1023;
  bits.setUint32(0, (high & 0x000fffff) | 0x3ff00000);
  let mantissa = bits.getFloat64(0);
  if (mantissa > Math.SQRT2) {
    mantissa /= 2;
    exponent++;
  }
  // ln m = 2 (s + s³/3 + s⁵/5 + …) with s = (m - 1) / (m + 1), |s| < 0.172.
  const s = (mantissa - 1) / (mantissa + 1);
  const square = s * s;
  let sum = 0;
  for (let odd = 23; odd >= 3; odd -= 2) sum = (sum + 1 / odd) * square;
  return exponent * ln2High + (exponent * ln2Low + 2 * (s + s * sum));
}

/** Of a number between -700 and 700. */
export function exponential(x: number): number {
  const exponent = Math.round(x / Math.LN2);
  const rest = x - exponent * ln2High - exponent * ln2Low;
  let sum = 1;
  for (let term = 15; term >= 1; term--) sum = 1 + (sum * rest) / term;
  bits.setUint32(0, (exponent + 1023) << 20);
  bits.setUint32(4, 0);
  return sum * bits.getFloat64(0);
}

/** base^exponent for base ≥ 0 and exponent ≥ 0; 0⁰ is 1. */
export function power(base: number, exponent: number): number {
  if (exponent === 0) return 1;
  return base === 0 ? 0 : exponential(exponent * logarithm(base));
}
