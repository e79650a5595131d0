/**
 * tq2_0: 256 ternary numbers in 66 bytes, decoded only. GGML `block_tq2_0`.
 *   0   u8  q[64]: each half of the block has 32 bytes; byte i holds numbers i, i + 32, i + 64, i + 96 from bit 0, 2, 4, 6
 *   64  f16 d
 * x = d (q - 1).
 */
import type { Codec } from '../codec.js';
import { halfField, readHalf } from '../scale-field.js';

export const tq20: Codec = {
  blockSize: 256,
  bytesPerBlock: 66,
  scales: [halfField(64)],
  decode({ blocks, bytes, byteStart, values, valueStart }) {
    for (let block = 0; block < blocks; block++) {
      const at = byteStart + 66 * block;
      const out = valueStart + 256 * block;
      const d = readHalf(bytes, at + 64);
      for (let i = 0; i < 256; i++) {
        const q = (bytes[at + 32 * (i >>> 7) + (i & 31)]! >>> ((i >>> 4) & 6)) & 3;
        values[out + i] = (q - 1) * d;
      }
    }
  },
};
