/**
 * iq2_s: 256 numbers in 82 bytes, decoded only. GGML `block_iq2_s`.
 *   0   f16 d
 *   2   u8  [32] per 8 numbers: low eight bits of the codebook index
 *   34  u8  [32] per 8 numbers: signs
 *   66  u8  [8] per 32 numbers: the upper two index bits of its four groups, from bit 0, 2, 4, 6
 *   74  u8  [8] per 32 numbers: the 4-bit scales s of the first 16 (low) and the second 16 (high)
 * x = ±d (s + 1/2) / 4 · level.
 */
import { codebook2s } from '../codebooks.js';
import type { Codec } from '../codec.js';
import { halfField, readHalf } from '../scale-field.js';
import { freeSigns } from '../signs.js';

export const iq2s: Codec = {
  blockSize: 256,
  bytesPerBlock: 82,
  scales: [halfField(0)],
  decode({ blocks, bytes, byteStart, values, valueStart }) {
    const codebook = codebook2s();
    for (let block = 0; block < blocks; block++) {
      const at = byteStart + 82 * block;
      const d = readHalf(bytes, at);
      for (let group = 0; group < 32; group++) {
        const sub = group >>> 2;
        const scale = d * (0.5 + ((bytes[at + 74 + sub]! >>> (2 * (group & 2))) & 15)) * 0.25;
        const upper = (bytes[at + 66 + sub]! >>> (2 * (group & 3))) & 3;
        const entry = 8 * (bytes[at + 2 + group]! | (upper << 8));
        const signs = 8 * bytes[at + 34 + group]!;
        const out = valueStart + 256 * block + 8 * group;
        for (let j = 0; j < 8; j++) {
          values[out + j] = scale * codebook[entry + j]! * freeSigns[signs + j]!;
        }
      }
    }
  },
};
