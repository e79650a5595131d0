/**
 * f16: IEEE 754 binary16, little-endian, 2 bytes a number. GGML type F16.
 * Encoding rounds to nearest, ties to even; magnitudes from 65520 on become infinity, as IEEE 754 says.
 */
import type { Codec } from '../codec.js';
import { halfBits, narrowToHalf } from '../half.js';
import { halfField } from '../scale-field.js';

export const f16: Codec = {
  blockSize: 1,
  bytesPerBlock: 2,
  scales: [halfField(0)],
  decode({ blocks, bytes, byteStart, values, valueStart }) {
    const words = new Uint32Array(values.buffer, values.byteOffset + 4 * valueStart, blocks);
    for (let i = 0, at = byteStart; i < blocks; i++, at += 2) {
      words[i] = halfBits[bytes[at]! | (bytes[at + 1]! << 8)]!;
    }
  },
  encode({ blocks, bytes, byteStart, values, valueStart }) {
    const words = new Uint32Array(values.buffer, values.byteOffset + 4 * valueStart, blocks);
    for (let i = 0, at = byteStart; i < blocks; i++, at += 2) {
      const half = narrowToHalf(words[i]!);
      bytes[at] = half;
      bytes[at + 1] = half >>> 8;
    }
  },
};
