/**
 * q5_1: 32 numbers in 24 bytes. GGML `block_q5_1`.
 *   0  f16 d
 *   2  f16 m
 *   4  u32 h, little-endian: bit j is the fifth bit of number j
 *   8  u8  q[16]: low nibble is number j, high nibble number j + 16
 * x = d · q + m. Encoding: m = min x, d = (max x - min x) / 31, q = floor((x - m) / d + 0.5).
 */
import type { Codec } from '../codec.js';
import { largest, smallest } from '../range.js';
import { halfField, readHalf, writeHalf } from '../scale-field.js';

export const q51: Codec = {
  blockSize: 32,
  bytesPerBlock: 24,
  scales: [halfField(0), halfField(2)],
  decode({ blocks, bytes, byteStart, values, valueStart }) {
    let at = byteStart;
    let out = valueStart;
    for (let block = 0; block < blocks; block++, at += 24, out += 32) {
      const d = readHalf(bytes, at);
      const m = readHalf(bytes, at + 2);
      const lowFifths = bytes[at + 4]! | (bytes[at + 5]! << 8);
      const highFifths = bytes[at + 6]! | (bytes[at + 7]! << 8);
      for (let j = 0; j < 16; j++) {
        const pair = bytes[at + 8 + j]!;
        values[out + j] = ((pair & 15) + (((lowFifths >>> j) & 1) << 4)) * d + m;
        values[out + 16 + j] = ((pair >>> 4) + (((highFifths >>> j) & 1) << 4)) * d + m;
      }
    }
  },
  encode({ blocks, bytes, byteStart, values, valueStart }) {
    let at = byteStart;
    let from = valueStart;
    for (let block = 0; block < blocks; block++, at += 24, from += 32) {
      const minimum = smallest(values, from, 32);
      const d = Math.fround(Math.fround(largest(values, from, 32) - minimum) / 31);
      const inverse = d === 0 ? 0 : Math.fround(1 / d);
      writeHalf(bytes, at, d);
      writeHalf(bytes, at + 2, minimum);
      let lowFifths = 0;
      let highFifths = 0;
      for (let j = 0; j < 16; j++) {
        const low = level(Math.fround(values[from + j]! - minimum), inverse);
        const high = level(Math.fround(values[from + 16 + j]! - minimum), inverse);
        bytes[at + 8 + j] = (low & 15) | (high << 4);
        lowFifths |= (low >>> 4) << j;
        highFifths |= (high >>> 4) << j;
      }
      bytes[at + 4] = lowFifths;
      bytes[at + 5] = lowFifths >>> 8;
      bytes[at + 6] = highFifths;
      bytes[at + 7] = highFifths >>> 8;
    }
  },
};

function level(above: number, inverse: number): number {
  return Math.fround(Math.fround(above * inverse) + 0.5) | 0;
}
