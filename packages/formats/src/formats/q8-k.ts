/**
 * q8_k: 256 numbers in 292 bytes, decoded only. GGML `block_q8_K`; meant for activations.
 *   0    f32 d
 *   4    i8  q[256]
 *   260  i16 [16] sums of 16 q each, which decoding does not need
 * x = d q.
 */
import type { Codec } from '../codec.js';
import { floatField } from '../scale-field.js';

export const q8k: Codec = {
  blockSize: 256,
  bytesPerBlock: 292,
  scales: [floatField(4)],
  decode({ blocks, bytes, byteStart, values, valueStart }) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let block = 0; block < blocks; block++) {
      const at = byteStart + 292 * block;
      const out = valueStart + 256 * block;
      const d = view.getFloat32(at, true);
      for (let i = 0; i < 256; i++) values[out + i] = d * ((bytes[at + 4 + i]! << 24) >> 24);
    }
  },
};
