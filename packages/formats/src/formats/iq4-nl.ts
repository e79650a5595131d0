/**
 * iq4_nl: 32 numbers in 18 bytes, decoded only. GGML `block_iq4_nl`.
 *   0  f16 d
 *   2  u8  q[16]: low nibble is number j, high nibble number j + 16
 * x = d · levels[q]: sixteen unevenly spaced levels, denser near zero.
 */
import type { Codec } from '../codec.js';
import { unevenLevels } from '../levels.js';
import { halfField, readHalf } from '../scale-field.js';

export const iq4nl: Codec = {
  blockSize: 32,
  bytesPerBlock: 18,
  scales: [halfField(0)],
  decode({ blocks, bytes, byteStart, values, valueStart }) {
    for (let block = 0; block < blocks; block++) {
      const at = byteStart + 18 * block;
      const out = valueStart + 32 * block;
      const d = readHalf(bytes, at);
      for (let j = 0; j < 16; j++) {
        const pair = bytes[at + 2 + j]!;
        values[out + j] = d * unevenLevels[pair & 15]!;
        values[out + 16 + j] = d * unevenLevels[pair >>> 4]!;
      }
    }
  },
};
