/**
 * bf16: the upper two bytes of a binary32, little-endian, 2 bytes a number. GGML type BF16.
 * Encoding rounds to nearest, ties to even; a NaN stays one and is made quiet.
 */
import type { Codec } from '../codec.js';
import { narrowToBf16 } from '../half.js';
import { bf16Field } from '../scale-field.js';

export const bf16: Codec = {
  blockSize: 1,
  bytesPerBlock: 2,
  scales: [bf16Field()],
  decode({ blocks, bytes, byteStart, values, valueStart }) {
    const words = new Uint32Array(values.buffer, values.byteOffset + 4 * valueStart, blocks);
    for (let i = 0, at = byteStart; i < blocks; i++, at += 2) {
      words[i] = (bytes[at]! << 16) | (bytes[at + 1]! << 24);
    }
  },
  encode({ blocks, bytes, byteStart, values, valueStart }) {
    const words = new Uint32Array(values.buffer, values.byteOffset + 4 * valueStart, blocks);
    for (let i = 0, at = byteStart; i < blocks; i++, at += 2) {
      const pattern = narrowToBf16(words[i]!);
      bytes[at] = pattern;
      bytes[at + 1] = pattern >>> 8;
    }
  },
};
