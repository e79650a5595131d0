/**
 * q2_0: 64 numbers in 18 bytes, decoded only. GGML `block_q2_0`.
 *   0  f16 d
 *   2  u8  q[16]: numbers 4 j … 4 j + 3 in byte j from bit 0, 2, 4, 6
 * x = d (q - 1) with q from 0 to 3.
 */
import type { Codec } from '../codec.js';
import { halfField, readHalf } from '../scale-field.js';

export const q20: Codec = {
  blockSize: 64,
  bytesPerBlock: 18,
  scales: [halfField(0)],
  decode({ blocks, bytes, byteStart, values, valueStart }) {
    for (let block = 0; block < blocks; block++) {
      const at = byteStart + 18 * block;
      const out = valueStart + 64 * block;
      const d = readHalf(bytes, at);
      for (let i = 0; i < 64; i++) {
        const q = (bytes[at + 2 + (i >>> 2)]! >>> (2 * (i & 3))) & 3;
        values[out + i] = (q - 1) * d;
      }
    }
  },
};
