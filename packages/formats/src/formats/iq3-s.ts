/**
 * iq3_s: 256 numbers in 110 bytes, decoded only. GGML `block_iq3_s`.
 *   0    f16 d
 *   2    u8  [64] per 4 numbers: low eight bits of the codebook index
 *   66   u8  [8] per 32 numbers: the ninth index bit of its eight groups of 4
 *   74   u8  [32] per 8 numbers: signs
 *   106  u8  [4] per 64 numbers: the 4-bit scales s of the first 32 (low) and the second 32 (high)
 * x = ±d (2 s + 1) · level.
 */
import { codebook3s } from '../codebooks.js';
import type { Codec } from '../codec.js';
import { halfField, readHalf } from '../scale-field.js';
import { freeSigns } from '../signs.js';

export const iq3s: Codec = {
  blockSize: 256,
  bytesPerBlock: 110,
  scales: [halfField(0)],
  decode({ blocks, bytes, byteStart, values, valueStart }) {
    const codebook = codebook3s();
    for (let block = 0; block < blocks; block++) {
      const at = byteStart + 110 * block;
      const d = readHalf(bytes, at);
      for (let group = 0; group < 64; group++) {
        const sub = group >>> 3;
        const scale = d * (1 + 2 * ((bytes[at + 106 + (sub >>> 1)]! >>> (4 * (sub & 1))) & 15));
        const ninth = (bytes[at + 66 + sub]! >>> (group & 7)) & 1;
        const entry = 4 * (bytes[at + 2 + group]! | (ninth << 8));
        const signs = 8 * bytes[at + 74 + (group >>> 1)]! + 4 * (group & 1);
        const out = valueStart + 256 * block + 4 * group;
        for (let j = 0; j < 4; j++) {
          values[out + j] = scale * codebook[entry + j]! * freeSigns[signs + j]!;
        }
      }
    }
  },
};
