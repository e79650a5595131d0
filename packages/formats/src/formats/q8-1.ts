/**
 * q8_1: 32 numbers in 36 bytes. GGML `block_q8_1`; meant for activations, decoded for completeness.
 *   0  f16 d
 *   2  f16 s = d · Σ q, which decoding does not need
 *   4  i8  q[32]
 * x[j] = d · q[j].
 */
import type { Codec } from '../codec.js';
import { halfField, readHalf } from '../scale-field.js';

export const q81: Codec = {
  blockSize: 32,
  bytesPerBlock: 36,
  scales: [halfField(0), halfField(2)],
  decode({ blocks, bytes, byteStart, values, valueStart }) {
    let at = byteStart;
    let out = valueStart;
    for (let block = 0; block < blocks; block++, at += 36) {
      const d = readHalf(bytes, at);
      for (let j = 4; j < 36; j++) values[out++] = ((bytes[at + j]! << 24) >> 24) * d;
    }
  },
};
