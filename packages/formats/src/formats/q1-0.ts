/**
 * q1_0: 128 numbers in 18 bytes, decoded only. GGML `block_q1_0`.
 *   0  f16 d
 *   2  u8  [16] bit i of byte j is the sign of number 8 j + i, set for +
 * x = ±d.
 */
import type { Codec } from '../codec.js';
import { halfField, readHalf } from '../scale-field.js';

export const q10: Codec = {
  blockSize: 128,
  bytesPerBlock: 18,
  scales: [halfField(0)],
  decode({ blocks, bytes, byteStart, values, valueStart }) {
    for (let block = 0; block < blocks; block++) {
      const at = byteStart + 18 * block;
      const out = valueStart + 128 * block;
      const d = readHalf(bytes, at);
      for (let i = 0; i < 128; i++) {
        values[out + i] = (bytes[at + 2 + (i >>> 3)]! >>> (i & 7)) & 1 ? d : -d;
      }
    }
  },
};
