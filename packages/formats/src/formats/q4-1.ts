/**
 * q4_1: 32 numbers in 20 bytes. GGML `block_q4_1`.
 *   0  f16 d
 *   2  f16 m
 *   4  u8  q[16]: low nibble is number j, high nibble number j + 16
 * x = d · q + m. Encoding: m = min x, d = (max x - min x) / 15, q = floor((x - m) / d + 0.5), at most 15.
 */
import type { Codec } from '../codec.js';
import { largest, smallest } from '../range.js';
import { halfField, readHalf, writeHalf } from '../scale-field.js';

export const q41: Codec = {
  blockSize: 32,
  bytesPerBlock: 20,
  scales: [halfField(0), halfField(2)],
  decode({ blocks, bytes, byteStart, values, valueStart }) {
    let at = byteStart;
    let out = valueStart;
    for (let block = 0; block < blocks; block++, at += 20, out += 32) {
      const d = readHalf(bytes, at);
      const m = readHalf(bytes, at + 2);
      for (let j = 0; j < 16; j++) {
        const pair = bytes[at + 4 + j]!;
        values[out + j] = (pair & 15) * d + m;
        values[out + 16 + j] = (pair >>> 4) * d + m;
      }
    }
  },
  encode({ blocks, bytes, byteStart, values, valueStart }) {
    let at = byteStart;
    let from = valueStart;
    for (let block = 0; block < blocks; block++, at += 20, from += 32) {
      const minimum = smallest(values, from, 32);
      const d = Math.fround(Math.fround(largest(values, from, 32) - minimum) / 15);
      const inverse = d === 0 ? 0 : Math.fround(1 / d);
      writeHalf(bytes, at, d);
      writeHalf(bytes, at + 2, minimum);
      for (let j = 0; j < 16; j++) {
        const low = level(Math.fround(values[from + j]! - minimum), inverse);
        const high = level(Math.fround(values[from + 16 + j]! - minimum), inverse);
        bytes[at + 4 + j] = low | (high << 4);
      }
    }
  },
};

function level(above: number, inverse: number): number {
  return Math.min(15, Math.fround(Math.fround(above * inverse) + 0.5) | 0);
}
