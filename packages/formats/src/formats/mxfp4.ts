/**
 * mxfp4: 32 numbers in 17 bytes, decoded only. GGML `block_mxfp4`; OCP Microscaling Formats (MX) v1.0, section 5.2.
 *   0  u8  e: the scale 2^(e - 127) (E8M0)
 *   1  u8  q[16]: low nibble is number j, high nibble number j + 16, each an E2M1 float
 * x = 2^(e - 127) · E2M1(q). Like GGML, e = 255 is 2^128 here, not NaN.
 */
import type { Codec } from '../codec.js';
import { doubledE2m1 } from '../levels.js';

/** The largest e at which 6 · 2^(e - 127) is still an f32. */
const largestExponent = 252;

export const mxfp4: Codec = {
  blockSize: 32,
  bytesPerBlock: 17,
  scales: [
    {
      rescale(bytes, blockStart, exponent) {
        const scaled = bytes[blockStart]! + exponent;
        if (exponent !== 0 && (scaled < 0 || scaled > largestExponent)) return false;
        bytes[blockStart] = scaled;
        return true;
      },
    },
  ],
  decode({ blocks, bytes, byteStart, values, valueStart }) {
    for (let block = 0; block < blocks; block++) {
      const at = byteStart + 17 * block;
      const out = valueStart + 32 * block;
      // The levels are doubled integers, so the scale is halved.
      const scale = 2 ** (bytes[at]! - 128);
      for (let j = 0; j < 16; j++) {
        const pair = bytes[at + 1 + j]!;
        values[out + j] = doubledE2m1[pair & 15]! * scale;
        values[out + 16 + j] = doubledE2m1[pair >>> 4]! * scale;
      }
    }
  },
};
