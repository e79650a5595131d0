/**
 * f16 (IEEE 754 binary16: 1 sign, 5 exponent, 10 mantissa bits) and bf16 (the upper half of binary32).
 * Narrowing rounds to nearest, ties to even. A NaN stays a NaN: f16 keeps its sign only, bf16 sign and upper payload, made quiet.
 */
const floats = new Float32Array(1);
const bits = new Uint32Array(floats.buffer);

function widenHalf(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >>> 10) & 31;
  const mantissa = half & 0x3ff;
  if (exponent === 31)
    return (sign | 0x7f800000 | (mantissa === 0 ? 0 : 0x400000) | (mantissa << 13)) >>> 0;
  if (exponent !== 0) return (sign | ((exponent + 112) << 23) | (mantissa << 13)) >>> 0;
  if (mantissa === 0) return sign >>> 0;
  // Subnormal: mantissa 2^-24. Its highest bit becomes the implicit one of a normal f32.
  const shift = Math.clz32(mantissa) - 21;
  return (sign | ((113 - shift) << 23) | ((mantissa << (shift + 13)) & 0x7fffff)) >>> 0;
}

function buildTable(): Uint32Array {
  const table = new Uint32Array(65536);
  for (let half = 0; half < 65536; half++) table[half] = widenHalf(half);
  return table;
}

/** [65536] f32 bit patterns by f16 bit pattern: one load per number beats any arithmetic. */
export const halfBits: Uint32Array = buildTable();
/** The same table as numbers. */
export const halfValues: Float32Array = new Float32Array(halfBits.buffer);

/** The number of a 16-bit f16 pattern. Exact. */
export function f16ToF32(half: number): number {
  return halfValues[half & 0xffff]!;
}

/** The f16 pattern nearest to f32 bits: beyond ±65520 infinity, below 2^-25 zero. */
export function narrowToHalf(word: number): number {
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  if (magnitude >= 0x477ff000) {
    return sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00);
  }
  if (magnitude >= 0x38800000) {
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  }
  if (magnitude <= 0x33000000) return sign;
  const shift = 126 - (magnitude >>> 23);
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  const kept = mantissa >>> shift;
  const rest = mantissa - (kept << shift);
  const tie = 1 << (shift - 1);
  return sign | (kept + (rest > tie || (rest === tie && (kept & 1) === 1) ? 1 : 0));
}

/** The bf16 pattern nearest to f32 bits. */
export function narrowToBf16(word: number): number {
  if ((word & 0x7fffffff) > 0x7f800000) return (word >>> 16) | 0x40;
  return ((word >>> 0) + 0x7fff + ((word >>> 16) & 1)) >>> 16;
}

/** The f16 pattern nearest to `value`, which is first rounded to f32. */
export function f32ToF16(value: number): number {
  floats[0] = value;
  return narrowToHalf(bits[0]!);
}

/** The number of a 16-bit bf16 pattern. Exact. */
export function bf16ToF32(pattern: number): number {
  bits[0] = pattern << 16;
  return floats[0]!;
}

/** The bf16 pattern nearest to `value`, which is first rounded to f32. */
export function f32ToBf16(value: number): number {
  floats[0] = value;
  return narrowToBf16(bits[0]!);
}
