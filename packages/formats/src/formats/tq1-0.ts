/**
 * tq1_0: 256 ternary numbers in 54 bytes, decoded only. GGML `block_tq1_0`.
 *   0   u8  [48] five base-3 digits a byte: bytes 0..31 give digit n of byte i to number 32 n + i, bytes 32..47 to 160 + 16 n + i
 *   48  u8  [4] four digits a byte: number 240 + 4 n + i
 *   52  f16 d
 * x = d (t - 1). A byte is its five digits as the fraction 0.t₀t₁t₂t₃t₄ in base 3, in units of 1/256, rounded up; digit n
 * is the integer part of three times the byte · 3ⁿ modulo 256, over 256.
 */
import type { Codec } from '../codec.js';
import { halfField, readHalf } from '../scale-field.js';

const powers = [1, 3, 9, 27, 81];

function writeDigits(
  { bytes, values }: { readonly bytes: Uint8Array; readonly values: Float32Array },
  {
    at,
    width,
    digits,
    out,
    d,
  }: { at: number; width: number; digits: number; out: number; d: number },
): void {
  for (let n = 0; n < digits; n++) {
    for (let i = 0; i < width; i++) {
      const fraction = (bytes[at + i]! * powers[n]!) & 255;
      values[out + width * n + i] = (((fraction * 3) >>> 8) - 1) * d;
    }
  }
}

export const tq10: Codec = {
  blockSize: 256,
  bytesPerBlock: 54,
  scales: [halfField(52)],
  decode({ blocks, bytes, byteStart, values, valueStart }) {
    const arrays = { bytes, values };
    for (let block = 0; block < blocks; block++) {
      const at = byteStart + 54 * block;
      const out = valueStart + 256 * block;
      const d = readHalf(bytes, at + 52);
      writeDigits(arrays, { at, width: 32, digits: 5, out, d });
      writeDigits(arrays, { at: at + 32, width: 16, digits: 5, out: out + 160, d });
      writeDigits(arrays, { at: at + 48, width: 4, digits: 4, out: out + 240, d });
    }
  },
};
