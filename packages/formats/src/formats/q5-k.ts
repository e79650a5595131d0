/**
 * q5_k: 256 numbers in 176 bytes. GGML `block_q5_K`.
 *   0   header of 16 bytes: f16 d, f16 e, 6-bit s[8] and m[8] (super-block.ts)
 *   16  u8 h[32]: bit b of byte j is the fifth bit of number j of sub-block b
 *   48  u8 q[128]: low four bits, as in q4_k
 * x = d s q - e m with q from 0 to 31. Encoding: scale-min-search.ts.
 */
import type { Codec } from '../codec.js';
import { halfField } from '../scale-field.js';
import type { StepWidths } from '../scale-min-search.js';
import { encodeSuperBlock, type PairScales, readPairScales } from '../super-block.js';

const widths: StepWidths = { levels: 31, first: -0.5, last: 15 };
const quants = new Uint8Array(256);
const scales: PairScales = { lowScale: 0, lowMinimum: 0, highScale: 0, highMinimum: 0 };

function pack(bytes: Uint8Array, at: number): void {
  for (let j = 0; j < 128; j++) {
    const low = 64 * (j >>> 5) + (j & 31);
    bytes[at + 48 + j] = (quants[low]! & 15) | ((quants[low + 32]! & 15) << 4);
  }
  for (let j = 0; j < 32; j++) {
    let fifths = 0;
    for (let sub = 0; sub < 8; sub++) fifths |= (quants[32 * sub + j]! >>> 4) << sub;
    bytes[at + 16 + j] = fifths;
  }
}

export const q5k: Codec = {
  blockSize: 256,
  bytesPerBlock: 176,
  scales: [halfField(0), halfField(2)],
  decode({ blocks, bytes, byteStart, values, valueStart }) {
    let at = byteStart;
    let out = valueStart;
    for (let block = 0; block < blocks; block++, at += 176) {
      for (let pair = 0; pair < 4; pair++, out += 64) {
        readPairScales(scales, { bytes, at, pair });
        const { lowScale, lowMinimum, highScale, highMinimum } = scales;
        const from = at + 48 + 32 * pair;
        for (let j = 0; j < 32; j++) {
          const both = bytes[from + j]!;
          const fifths = bytes[at + 16 + j]! >>> (2 * pair);
          values[out + j] = lowScale * ((both & 15) | ((fifths & 1) << 4)) - lowMinimum;
          values[out + 32 + j] = highScale * ((both >>> 4) | ((fifths & 2) << 3)) - highMinimum;
        }
      }
    }
  },
  encode({ blocks, bytes, byteStart, values, valueStart }) {
    for (let block = 0; block < blocks; block++) {
      const at = byteStart + 176 * block;
      encodeSuperBlock({ values, start: valueStart + 256 * block, bytes, at, quants }, widths);
      pack(bytes, at);
    }
  },
};
