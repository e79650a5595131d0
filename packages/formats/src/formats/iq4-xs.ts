/**
 * iq4_xs: 256 numbers in 136 bytes, decoded only. GGML `block_iq4_xs`.
 *   0  f16 d
 *   2  u16 upper two bits of the eight scales, scale b at bit 2 b
 *   4  u8  [4] low nibbles of the scales, even ones low, odd ones high
 *   8  u8  q[128]: sub-block b of 32 has 16 bytes, low nibble number j, high nibble number j + 16
 * x = d (s - 32) levels[q], levels as in iq4_nl.
 */
import type { Codec } from '../codec.js';
import { unevenLevels } from '../levels.js';
import { halfField, readHalf } from '../scale-field.js';

export const iq4xs: Codec = {
  blockSize: 256,
  bytesPerBlock: 136,
  scales: [halfField(0)],
  decode({ blocks, bytes, byteStart, values, valueStart }) {
    for (let block = 0; block < blocks; block++) {
      const at = byteStart + 136 * block;
      const d = readHalf(bytes, at);
      const upper = bytes[at + 2]! | (bytes[at + 3]! << 8);
      for (let sub = 0; sub < 8; sub++) {
        const low = (bytes[at + 4 + (sub >>> 1)]! >>> (4 * (sub & 1))) & 15;
        const scale = d * ((low | (((upper >>> (2 * sub)) & 3) << 4)) - 32);
        const from = at + 8 + 16 * sub;
        const out = valueStart + 256 * block + 32 * sub;
        for (let j = 0; j < 16; j++) {
          const pair = bytes[from + j]!;
          values[out + j] = scale * unevenLevels[pair & 15]!;
          values[out + 16 + j] = scale * unevenLevels[pair >>> 4]!;
        }
      }
    }
  },
};
