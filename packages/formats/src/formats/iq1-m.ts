/**
 * iq1_m: 256 numbers in 56 bytes, decoded only. GGML `block_iq1_m`.
 *   0   u8  [32] per 8 numbers: low eight bits of the codebook index
 *   32  u8  [16] per 16 numbers, a nibble per 8: upper three index bits, and bit 3 turns the offset negative
 *   48  u16 [4] per 64 numbers: four 3-bit scales s, one per 16 numbers, from bit 0, 3, 6, 9; the four upper nibbles
 *           together are the f16 d, lowest first
 * x = d (2 s + 1) (t ± 1/8) with t from the codebook, -1, 0 or 1.
 */
import { codebook1 } from '../codebooks.js';
import type { Codec } from '../codec.js';
import { f16ToF32 } from '../half.js';
import { rescaleHalf } from '../scale-field.js';

function readScale(bytes: Uint8Array, at: number): number {
  let half = 0;
  for (let i = 0; i < 4; i++) half |= (bytes[at + 49 + 2 * i]! >>> 4) << (4 * i);
  return half;
}

export const iq1m: Codec = {
  blockSize: 256,
  bytesPerBlock: 56,
  scales: [
    {
      rescale(bytes, blockStart, exponent) {
        const scaled = rescaleHalf(readScale(bytes, blockStart), exponent);
        if (scaled === undefined) return false;
        for (let i = 0; i < 4; i++) {
          const at = blockStart + 49 + 2 * i;
          bytes[at] = (bytes[at]! & 15) | (((scaled >>> (4 * i)) & 15) << 4);
        }
        return true;
      },
    },
  ],
  decode({ blocks, bytes, byteStart, values, valueStart }) {
    const codebook = codebook1();
    for (let block = 0; block < blocks; block++) {
      const at = byteStart + 56 * block;
      const d = f16ToF32(readScale(bytes, at));
      for (let group = 0; group < 32; group++) {
        const from = at + 48 + 2 * (group >>> 3);
        const packed = bytes[from]! | (bytes[from + 1]! << 8);
        const scale = d * (2 * ((packed >>> (3 * ((group >>> 1) & 3))) & 7) + 1);
        const nibble = (bytes[at + 32 + (group >>> 1)]! >>> (4 * (group & 1))) & 15;
        const offset = nibble & 8 ? -0.125 : 0.125;
        const entry = 8 * (bytes[at + group]! | ((nibble & 7) << 8));
        const out = valueStart + 256 * block + 8 * group;
        for (let j = 0; j < 8; j++) values[out + j] = scale * (codebook[entry + j]! + offset);
      }
    }
  },
};
