/**
 * iq1_s: 256 numbers in 50 bytes, decoded only. GGML `block_iq1_s`.
 *   0   f16 d
 *   2   u8  [32] per 8 numbers: low eight bits of the codebook index
 *   34  u16 [8] per 32 numbers: upper three index bits of its four groups from bit 0, 3, 6, 9; 3-bit scale s from bit 12;
 *           bit 15 turns the offset negative
 * x = d (2 s + 1) (t ± 1/8) with t from the codebook, -1, 0 or 1.
 */
import { codebook1 } from '../codebooks.js';
import type { Codec } from '../codec.js';
import { halfField, readHalf } from '../scale-field.js';

export const iq1s: Codec = {
  blockSize: 256,
  bytesPerBlock: 50,
  scales: [halfField(0)],
  decode({ blocks, bytes, byteStart, values, valueStart }) {
    const codebook = codebook1();
    for (let block = 0; block < blocks; block++) {
      const at = byteStart + 50 * block;
      const d = readHalf(bytes, at);
      for (let group = 0; group < 32; group++) {
        const from = at + 34 + 2 * (group >>> 2);
        const upper = bytes[from]! | (bytes[from + 1]! << 8);
        const scale = d * (2 * ((upper >>> 12) & 7) + 1);
        const offset = upper & 0x8000 ? -0.125 : 0.125;
        const entry = 8 * (bytes[at + 2 + group]! | (((upper >>> (3 * (group & 3))) & 7) << 8));
        const out = valueStart + 256 * block + 8 * group;
        for (let j = 0; j < 8; j++) values[out + j] = scale * (codebook[entry + j]! + offset);
      }
    }
  },
};
