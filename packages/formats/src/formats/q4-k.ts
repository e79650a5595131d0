/**
 * q4_k: 256 numbers in 144 bytes. GGML `block_q4_K`.
 *   0   header of 16 bytes: f16 d, f16 e, 6-bit s[8] and m[8] (super-block.ts)
 *   16  u8 q[128]: for each pair of sub-blocks 2i, 2i + 1 the 32 bytes from 32 i hold one in the low, the other in the high nibble
 * x = d s q - e m with q from 0 to 15. Encoding: scale-min-search.ts.
 */
import type { Codec } from '../codec.js';
import { halfField } from '../scale-field.js';
import type { StepWidths } from '../scale-min-search.js';
import { encodeSuperBlock, type PairScales, readPairScales } from '../super-block.js';

const widths: StepWidths = { levels: 15, first: -1, last: 20 };
const quants = new Uint8Array(256);
const scales: PairScales = { lowScale: 0, lowMinimum: 0, highScale: 0, highMinimum: 0 };

export const q4k: Codec = {
  blockSize: 256,
  bytesPerBlock: 144,
  scales: [halfField(0), halfField(2)],
  decode({ blocks, bytes, byteStart, values, valueStart }) {
    let at = byteStart;
    let out = valueStart;
    for (let block = 0; block < blocks; block++, at += 144) {
      for (let pair = 0; pair < 4; pair++, out += 64) {
        readPairScales(scales, { bytes, at, pair });
        const { lowScale, lowMinimum, highScale, highMinimum } = scales;
        const from = at + 16 + 32 * pair;
        for (let j = 0; j < 32; j++) {
          const both = bytes[from + j]!;
          values[out + j] = lowScale * (both & 15) - lowMinimum;
          values[out + 32 + j] = highScale * (both >>> 4) - highMinimum;
        }
      }
    }
  },
  encode({ blocks, bytes, byteStart, values, valueStart }) {
    for (let block = 0; block < blocks; block++) {
      const at = byteStart + 144 * block;
      encodeSuperBlock({ values, start: valueStart + 256 * block, bytes, at, quants }, widths);
      for (let j = 0; j < 128; j++) {
        const low = 64 * (j >>> 5) + (j & 31);
        bytes[at + 16 + j] = quants[low]! | (quants[low + 32]! << 4);
      }
    }
  },
};
