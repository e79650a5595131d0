/**
 * iq3_xxs: 256 numbers in 98 bytes, decoded only. GGML `block_iq3_xxs`.
 *   0   f16 d
 *   2   u8  [64] per 4 numbers: codebook index
 *   66  u32 [8] per 32 numbers: signs of each 8 numbers, 7 bits each, and a 4-bit scale s on top
 * x = ±d (s + 1/2) / 2 · level.
 */
import { codebook3xxs } from '../codebooks.js';
import type { Codec } from '../codec.js';
import { halfField, readHalf } from '../scale-field.js';
import { evenSigns } from '../signs.js';

export const iq3xxs: Codec = {
  blockSize: 256,
  bytesPerBlock: 98,
  scales: [halfField(0)],
  decode({ blocks, bytes, byteStart, values, valueStart }) {
    const codebook = codebook3xxs();
    let out = valueStart;
    for (let block = 0; block < blocks; block++) {
      const at = byteStart + 98 * block;
      const d = readHalf(bytes, at);
      for (let sub = 0; sub < 8; sub++) {
        const from = at + 66 + 4 * sub;
        const signWord =
          bytes[from]! |
          (bytes[from + 1]! << 8) |
          (bytes[from + 2]! << 16) |
          (bytes[from + 3]! << 24);
        const scale = d * (0.5 + (signWord >>> 28)) * 0.5;
        for (let group = 0; group < 4; group++, out += 8) {
          const first = 4 * bytes[at + 2 + 8 * sub + 2 * group]!;
          const second = 4 * bytes[at + 3 + 8 * sub + 2 * group]!;
          const signs = 8 * ((signWord >>> (7 * group)) & 127);
          for (let j = 0; j < 4; j++) {
            values[out + j] = scale * codebook[first + j]! * evenSigns[signs + j]!;
            values[out + 4 + j] = scale * codebook[second + j]! * evenSigns[signs + 4 + j]!;
          }
        }
      }
    }
  },
};
