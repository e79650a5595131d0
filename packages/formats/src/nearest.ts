/**
 * Rounding to the nearest integer, ties to even, the way GGML's block searches do: adding 1.5 · 2^23 to an f32 leaves
 * the integer in its low mantissa bits. Exact up to ±4194303; beyond, GGML takes whatever the low bits are, and files
 * made from such extreme blocks hold that, so we do too.
 */
const magic = 12582912;
/** The same for an f64, which spares a rounding to f32: both leave the nearest integer. */
const wideMagic = 6755399441055744;
const floats = new Float32Array(1);
const bits = new Uint32Array(floats.buffer);

/** `value` is an f32. */
export function nearest(value: number): number {
  if (value <= 4194303 && value >= -4194303) return value + wideMagic - wideMagic;
  floats[0] = value + magic;
  return (bits[0]! & 0x7fffff) - 0x400000;
}
