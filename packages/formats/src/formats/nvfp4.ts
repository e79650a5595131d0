/**
 * nvfp4: 64 numbers in 36 bytes, decoded only. GGML `block_nvfp4`.
 *   0  u8  d[4]: one scale per 16 numbers, an unsigned E4M3 float (bias 7; 0x7f is read as 0)
 *   4  u8  q[32]: eight bytes per 16 numbers, low nibble number j, high nibble number j + 8, each an E2M1 float
 * x = d · E2M1(q). There is no field that takes a power of two exactly in general, so `scales` is empty.
 */
import type { Codec } from '../codec.js';
import { doubledE2m1 } from '../levels.js';

function readE4m3(pattern: number): number {
  if (pattern === 0x7f) return 0;
  const exponent = (pattern >>> 3) & 15;
  const mantissa = pattern & 7;
  return exponent === 0 ? mantissa / 512 : (8 + mantissa) * 2 ** (exponent - 10);
}

export const nvfp4: Codec = {
  blockSize: 64,
  bytesPerBlock: 36,
  scales: [],
  decode({ blocks, bytes, byteStart, values, valueStart }) {
    for (let block = 0; block < blocks; block++) {
      const at = byteStart + 36 * block;
      for (let group = 0; group < 4; group++) {
        const scale = readE4m3(bytes[at + group]!) / 2;
        const from = at + 4 + 8 * group;
        const out = valueStart + 64 * block + 16 * group;
        for (let j = 0; j < 8; j++) {
          const pair = bytes[from + j]!;
          values[out + j] = doubledE2m1[pair & 15]! * scale;
          values[out + 8 + j] = doubledE2m1[pair >>> 4]! * scale;
        }
      }
    }
  },
};
