/**
 * q8_0: 32 numbers in 34 bytes. GGML `block_q8_0`.
 *   0  f16 d
 *   2  i8  q[32]
 * x[j] = d · q[j]. Encoding: d = max |x| / 127, q = x / d rounded half away from zero.
 */
import type { Codec } from '../codec.js';
import { halfField, readHalf, writeHalf } from '../scale-field.js';

export const q80: Codec = {
  blockSize: 32,
  bytesPerBlock: 34,
  scales: [halfField(0)],
  decode({ blocks, bytes, byteStart, values, valueStart }) {
    let at = byteStart;
    let out = valueStart;
    for (let block = 0; block < blocks; block++, at += 34) {
      const d = readHalf(bytes, at);
      for (let j = 2; j < 34; j++) values[out++] = ((bytes[at + j]! << 24) >> 24) * d;
    }
  },
  encode({ blocks, bytes, byteStart, values, valueStart }) {
    let at = byteStart;
    let from = valueStart;
    for (let block = 0; block < blocks; block++, at += 34, from += 32) {
      let largest = 0;
      for (let j = 0; j < 32; j++) {
        const magnitude = Math.abs(values[from + j]!);
        if (magnitude > largest) largest = magnitude;
      }
      const d = Math.fround(largest / 127);
      const inverse = d === 0 ? 0 : Math.fround(1 / d);
      writeHalf(bytes, at, d);
      for (let j = 0; j < 32; j++) {
        const x = Math.fround(values[from + j]! * inverse);
        bytes[at + 2 + j] = x < 0 ? -((0.5 - x) | 0) : (x + 0.5) | 0;
      }
    }
  },
};
