/**
 * f32: IEEE 754 binary32, little-endian, 4 bytes a number. GGML type F32. Decoding and encoding copy the bits, NaN payloads included.
 */
import type { BlockSpan, Codec } from '../codec.js';
import { hostIsLittleEndian } from '../host.js';
import { floatField } from '../scale-field.js';

function bytesOf({ values, valueStart, blocks }: BlockSpan): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset + 4 * valueStart, 4 * blocks);
}

/** Copies four-byte words, turning the byte order round. Both arrays have the same length. */
export function copySwapped(from: Uint8Array, to: Uint8Array): void {
  for (let at = 0; at < from.length; at += 4) {
    to[at] = from[at + 3]!;
    to[at + 1] = from[at + 2]!;
    to[at + 2] = from[at + 1]!;
    to[at + 3] = from[at]!;
  }
}

export const f32: Codec = {
  blockSize: 1,
  bytesPerBlock: 4,
  scales: [floatField(4)],
  decode(span) {
    const source = span.bytes.subarray(span.byteStart, span.byteStart + 4 * span.blocks);
    if (hostIsLittleEndian) bytesOf(span).set(source);
    else copySwapped(source, bytesOf(span));
  },
  encode(span) {
    const target = span.bytes.subarray(span.byteStart, span.byteStart + 4 * span.blocks);
    if (hostIsLittleEndian) target.set(bytesOf(span));
    else copySwapped(bytesOf(span), target);
  },
};
