/**
 * iq2_xs: 256 numbers in 74 bytes, decoded only. GGML `block_iq2_xs`.
 *   0   f16 d
 *   2   u16 [32] per 8 numbers: codebook index in the low nine, signs in the upper seven bits
 *   66  u8  [8] per 32 numbers: the 4-bit scales s of the first 16 (low) and the second 16 (high)
 * x = ±d (s + 1/2) / 4 · level.
 */
import { codebook2xs } from '../codebooks.js';
import type { Codec } from '../codec.js';
import { halfField, readHalf } from '../scale-field.js';
import { evenSigns } from '../signs.js';

export const iq2xs: Codec = {
  blockSize: 256,
  bytesPerBlock: 74,
  scales: [halfField(0)],
  decode({ blocks, bytes, byteStart, values, valueStart }) {
    const codebook = codebook2xs();
    for (let block = 0; block < blocks; block++) {
      const at = byteStart + 74 * block;
      const d = readHalf(bytes, at);
      for (let group = 0; group < 32; group++) {
        const nibbles = bytes[at + 66 + (group >>> 2)]!;
        const scale = d * (0.5 + ((nibbles >>> (2 * (group & 2))) & 15)) * 0.25;
        const packed = bytes[at + 2 + 2 * group]! | (bytes[at + 3 + 2 * group]! << 8);
        const entry = 8 * (packed & 511);
        const signs = 8 * (packed >>> 9);
        const out = valueStart + 256 * block + 8 * group;
        for (let j = 0; j < 8; j++) {
          values[out + j] = scale * codebook[entry + j]! * evenSigns[signs + j]!;
        }
      }
    }
  },
};
