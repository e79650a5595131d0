/** Numbers and their little-endian bytes, without a copy where the host stores f32 the same way: weights are large. */
import { decode, encode, type FormatName } from '@rwkv-ts/formats';

export const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** The bytes of `values`, which may share their memory: use one of the two from here on. */
export function bytesOfF32(values: Float32Array): Uint8Array {
  return littleEndian
    ? new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
    : encode('f32', values);
}

/** The numbers of `bytes`, which they may share memory with: use one of the two from here on. */
export function f32OfBytes(format: FormatName, bytes: Uint8Array): Float32Array {
  return format === 'f32' && littleEndian && bytes.byteOffset % 4 === 0
    ? new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
    : decode(format, bytes);
}
