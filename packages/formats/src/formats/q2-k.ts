/**
 * q2_k: 256 numbers in 84 bytes, decoded only. GGML `block_q2_K`.
 *   0   u8  [16] per 16 numbers: scale s in the low, minimum m in the high nibble
 *   16  u8  q[64]: each half of the block has 32 bytes; byte i holds numbers i, i + 32, i + 64, i + 96 from bit 0, 2, 4, 6
 *   80  f16 d
 *   82  f16 e
 * x = d s q - e m with q from 0 to 3.
 */
import type { Codec } from '../codec.js';
import { halfField, readHalf } from '../scale-field.js';

export const q2k: Codec = {
  blockSize: 256,
  bytesPerBlock: 84,
  scales: [halfField(80), halfField(82)],
  decode({ blocks, bytes, byteStart, values, valueStart }) {
    for (let block = 0; block < blocks; block++) {
      const at = byteStart + 84 * block;
      const out = valueStart + 256 * block;
      const d = readHalf(bytes, at + 80);
      const e = readHalf(bytes, at + 82);
      for (let group = 0; group < 16; group++) {
        const packed = bytes[at + group]!;
        const scale = d * (packed & 15);
        const minimum = e * (packed >>> 4);
        const from = at + 16 + 32 * (group >>> 3) + 16 * (group & 1);
        const shift = group & 6;
        for (let i = 0; i < 16; i++) {
          values[out + 16 * group + i] = scale * ((bytes[from + i]! >>> shift) & 3) - minimum;
        }
      }
    }
  },
};
