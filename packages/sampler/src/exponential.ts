/**
 * exp and ln from additions, multiplications and divisions only.
 *
 * ECMAScript leaves the last bits of `Math.exp` and `Math.log` to the engine, and a sampler whose seed gives the same
 * tokens everywhere cannot. IEEE 754 fixes the operations used here, so these give the same bits on every platform.
 */

/** Table steps per nat; a power of two, so scaling by it rounds nothing. */
export const stepsPerNat = 256;
/** Entries of the table: exp(-index / stepsPerNat) down to exp(-128). A power of two, so `& (size - 1)` is the bounds check. */
export const tableSize = 128 * stepsPerNat;

const ln2High = 6.9314718036912381649e-1; // 32 significant bits, so multiples up to 2^20 are exact
const ln2Low = 1.90821492927058770002e-10;

let table: Float64Array | undefined;

/** exp(-i / 256) for i below `tableSize`, 256 KiB, built on first use. */
export function exponentialTable(): Float64Array {
  if (table === undefined) {
    table = new Float64Array(tableSize);
    for (let index = 0; index < tableSize; index++)
      table[index] = exponential(-index / stepsPerNat);
  }
  return table;
}

/** exp(x) within 2 units in the last place (denormal results: within 2^-1074). */
export function exponential(x: number): number {
  if (x !== x) return NaN;
  if (x > 709.782712893384) return Infinity;
  if (x < -745.1332191019412) return 0;
  const halvings = Math.round(x / 0.6931471805599453);
  const rest = x - halvings * ln2High - halvings * ln2Low;
  let sum = 1;
  // |rest| <= 0.347, so the 15th Taylor term is below 1e-18.
  for (let term = 14; term >= 1; term--) sum = 1 + (sum * rest) / term;
  return scaleByPowerOfTwo(sum, halvings);
}

function scaleByPowerOfTwo(value: number, exponent: number): number {
  let power = exponent;
  let result = value;
  for (; power > 512; power -= 512) result *= 1.3407807929942597e154;
  for (; power < -512; power += 512) result *= 7.458340731200207e-155;
  // Powers of two by repeated squaring are exact.
  let factor = power < 0 ? 0.5 : 2;
  for (let bits = Math.abs(power); bits > 0; bits >>= 1) {
    if ((bits & 1) === 1) result *= factor;
    factor *= factor;
  }
  return result;
}

/**
 * exp(-distance) for distance >= 0, within 2 units in the last place: the table entry below, times a Taylor polynomial
 * of degree 5 on at most 1/256 (remainder under 5e-18). `entries` is `exponentialTable()`, passed in by hot loops.
 */
export function exponentialOfMinus(distance: number, entries: Float64Array): number {
  const position = distance * stepsPerNat;
  if (!(position < tableSize)) return exponential(-distance);
  const index = position | 0;
  const rest = (index - position) * (1 / stepsPerNat);
  const series = rest * (1 / 6 + rest * (1 / 24 + rest * (1 / 120)));
  return entries[index]! * (1 + rest * (1 + rest * (0.5 + series)));
}

const bits = new DataView(new ArrayBuffer(8));

/** ln(x) for x >= 0 within 2 units in the last place (absolute 3e-17 near 1). ln(0) is -Infinity, below 0 is NaN. */
export function naturalLogarithm(x: number): number {
  if (!(x > 0)) return x === 0 ? -Infinity : NaN;
  if (x === Infinity) return Infinity;
  let doublings = 0;
  let mantissa = x;
  if (x < 2.2250738585072014e-308) {
    mantissa = x * 18014398509481984;
    doublings = -54;
  }
  bits.setFloat64(0, mantissa);
  const high = bits.getUint32(0);
  doublings += (high >>> 20) - 1023;
  bits.setUint32(0, (high & 0xfffff) | 0x3ff00000);
  mantissa = bits.getFloat64(0);
  if (mantissa > 1.4142135623730951) {
    mantissa *= 0.5;
    doublings += 1;
  }
  // ln m = 2 artanh((m - 1) / (m + 1)); the argument is at most 0.172, so the term of degree 25 is below 1e-19.
  const ratio = (mantissa - 1) / (mantissa + 1);
  const square = ratio * ratio;
  let series = 0;
  for (let degree = 23; degree >= 3; degree -= 2) series = (series + 1 / degree) * square;
  return doublings * ln2High + (2 * ratio + (2 * ratio * series + doublings * ln2Low));
}
