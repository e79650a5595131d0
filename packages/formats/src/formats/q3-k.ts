/**
 * q3_k: 256 numbers in 110 bytes, decoded only. GGML `block_q3_K`.
 *   0    u8  h[32]: bit b of byte i is the upper bit of number 32 b + i
 *   32   u8  q[64]: low two bits, as in q2_k
 *   96   u8  [12] sixteen 6-bit scales: low nibbles of 0..7 and 8..15 in the low and high nibbles of bytes 0..7; the upper
 *            two bits of scale j at bits 2 (j div 4) of byte 8 + (j mod 4)
 *   108  f16 d
 * x = d (s - 32) (q - 4) with q from 0 to 7.
 */
import type { Codec } from '../codec.js';
import { halfField, readHalf } from '../scale-field.js';

function readScale(bytes: Uint8Array, at: number, index: number): number {
  const low = (bytes[at + (index & 7)]! >>> (index & 8 ? 4 : 0)) & 15;
  const high = (bytes[at + 8 + (index & 3)]! >>> (2 * (index >>> 2))) & 3;
  return (low | (high << 4)) - 32;
}

export const q3k: Codec = {
  blockSize: 256,
  bytesPerBlock: 110,
  scales: [halfField(108)],
  decode({ blocks, bytes, byteStart, values, valueStart }) {
    for (let block = 0; block < blocks; block++) {
      const at = byteStart + 110 * block;
      const out = valueStart + 256 * block;
      const d = readHalf(bytes, at + 108);
      for (let group = 0; group < 16; group++) {
        const scale = d * readScale(bytes, at + 96, group);
        const from = at + 32 + 32 * (group >>> 3) + 16 * (group & 1);
        const mask = at + 16 * (group & 1);
        const shift = group & 6;
        for (let i = 0; i < 16; i++) {
          const upper = (bytes[mask + i]! >>> (group >>> 1)) & 1;
          values[out + 16 * group + i] =
            scale * (((bytes[from + i]! >>> shift) & 3) + 4 * upper - 4);
        }
      }
    }
  },
};
