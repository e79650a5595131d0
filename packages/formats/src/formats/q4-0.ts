/**
 * q4_0: 32 numbers in 18 bytes. GGML `block_q4_0`.
 *   0  f16 d
 *   2  u8  q[16]: low nibble is number j, high nibble number j + 16
 * x = d · (q - 8). Encoding: d = m / -8 with m the value of largest magnitude (the first of equals), so that m itself
 * lands on q = 0; the others on floor(x / d + 8.5), at most 15.
 */
import type { Codec } from '../codec.js';
import { signedExtreme } from '../range.js';
import { halfField, readHalf, writeHalf } from '../scale-field.js';

export const q40: Codec = {
  blockSize: 32,
  bytesPerBlock: 18,
  scales: [halfField(0)],
  decode({ blocks, bytes, byteStart, values, valueStart }) {
    let at = byteStart;
    let out = valueStart;
    for (let block = 0; block < blocks; block++, at += 18, out += 32) {
      const d = readHalf(bytes, at);
      for (let j = 0; j < 16; j++) {
        const pair = bytes[at + 2 + j]!;
        values[out + j] = ((pair & 15) - 8) * d;
        values[out + 16 + j] = ((pair >>> 4) - 8) * d;
      }
    }
  },
  encode({ blocks, bytes, byteStart, values, valueStart }) {
    let at = byteStart;
    let from = valueStart;
    for (let block = 0; block < blocks; block++, at += 18, from += 32) {
      const d = Math.fround(signedExtreme(values, from, 32) / -8);
      const inverse = d === 0 ? 0 : Math.fround(1 / d);
      writeHalf(bytes, at, d);
      for (let j = 0; j < 16; j++) {
        const low = level(values[from + j]!, inverse);
        const high = level(values[from + 16 + j]!, inverse);
        bytes[at + 2 + j] = low | (high << 4);
      }
    }
  },
};

function level(value: number, inverse: number): number {
  return Math.min(15, Math.fround(Math.fround(value * inverse) + 8.5) | 0);
}
