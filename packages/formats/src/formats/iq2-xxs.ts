/**
 * iq2_xxs: 256 numbers in 66 bytes, decoded only. GGML `block_iq2_xxs`.
 *   0  f16 d
 *   2  per 32 numbers 8 bytes: u8 codebook index of each 8 numbers [4]; u32 with their signs, 7 bits each, and a 4-bit scale s on top
 * x = ±d (s + 1/2) / 4 · level.
 */
import { codebook2xxs } from '../codebooks.js';
import type { Codec } from '../codec.js';
import { halfField, readHalf } from '../scale-field.js';
import { evenSigns } from '../signs.js';

export const iq2xxs: Codec = {
  blockSize: 256,
  bytesPerBlock: 66,
  scales: [halfField(0)],
  decode({ blocks, bytes, byteStart, values, valueStart }) {
    const codebook = codebook2xxs();
    let out = valueStart;
    for (let block = 0; block < blocks; block++) {
      const d = readHalf(bytes, byteStart + 66 * block);
      for (let sub = 0; sub < 8; sub++) {
        const at = byteStart + 66 * block + 2 + 8 * sub;
        const signWord =
          bytes[at + 4]! | (bytes[at + 5]! << 8) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 24);
        const scale = d * (0.5 + (signWord >>> 28)) * 0.25;
        for (let group = 0; group < 4; group++, out += 8) {
          const entry = 8 * bytes[at + group]!;
          const signs = 8 * ((signWord >>> (7 * group)) & 127);
          for (let j = 0; j < 8; j++) {
            values[out + j] = scale * codebook[entry + j]! * evenSigns[signs + j]!;
          }
        }
      }
    }
  },
};
