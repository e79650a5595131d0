/**
 * q5_0: 32 numbers in 22 bytes. GGML `block_q5_0`.
 *   0  f16 d
 *   2  u32 h, little-endian: bit j is the fifth bit of number j
 *   6  u8  q[16]: low nibble is number j, high nibble number j + 16
 * x = d · (q - 16). Encoding: d = m / -16 with m the value of largest magnitude (the first of equals), q = floor(x / d + 16.5),
 * at most 31.
 */
import type { Codec } from '../codec.js';
import { signedExtreme } from '../range.js';
import { halfField, readHalf, writeHalf } from '../scale-field.js';

export const q50: Codec = {
  blockSize: 32,
  bytesPerBlock: 22,
  scales: [halfField(0)],
  decode({ blocks, bytes, byteStart, values, valueStart }) {
    let at = byteStart;
    let out = valueStart;
    for (let block = 0; block < blocks; block++, at += 22, out += 32) {
      const d = readHalf(bytes, at);
      const lowFifths = bytes[at + 2]! | (bytes[at + 3]! << 8);
      const highFifths = bytes[at + 4]! | (bytes[at + 5]! << 8);
      for (let j = 0; j < 16; j++) {
        const pair = bytes[at + 6 + j]!;
        values[out + j] = ((pair & 15) + (((lowFifths >>> j) & 1) << 4) - 16) * d;
        values[out + 16 + j] = ((pair >>> 4) + (((highFifths >>> j) & 1) << 4) - 16) * d;
      }
    }
  },
  encode({ blocks, bytes, byteStart, values, valueStart }) {
    let at = byteStart;
    let from = valueStart;
    for (let block = 0; block < blocks; block++, at += 22, from += 32) {
      const d = Math.fround(signedExtreme(values, from, 32) / -16);
      const inverse = d === 0 ? 0 : Math.fround(1 / d);
      writeHalf(bytes, at, d);
      let lowFifths = 0;
      let highFifths = 0;
      for (let j = 0; j < 16; j++) {
        const low = level(values[from + j]!, inverse);
        const high = level(values[from + 16 + j]!, inverse);
        bytes[at + 6 + j] = (low & 15) | (high << 4);
        lowFifths |= (low >>> 4) << j;
        highFifths |= (high >>> 4) << j;
      }
      bytes[at + 2] = lowFifths;
      bytes[at + 3] = lowFifths >>> 8;
      bytes[at + 4] = highFifths;
      bytes[at + 5] = highFifths >>> 8;
    }
  },
};

function level(value: number, inverse: number): number {
  return Math.min(31, Math.fround(Math.fround(value * inverse) + 16.5) | 0);
}
