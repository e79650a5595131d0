/**
 * f64, i8, i16, i32, i64: plain little-endian numbers. GGML types F64, I8, I16, I32, I64. u8 and bool (a byte, true unless
 * 0) occur in files of PyTorch. Decoding rounds once to f32, to nearest, ties to even; what has up to 16 bits is exact.
 */
import type { Codec } from '../codec.js';
import { floatField } from '../scale-field.js';

/** Rounding to f64 on the way to f32 would round twice; one sticky bit below the 53 that f64 keeps prevents it. */
function roundOnce(value: bigint): number {
  const magnitude = value < 0n ? -value : value;
  if (magnitude < 1n << 53n) return Number(value);
  const sticky = (magnitude & 0x7ffn) === 0n ? 0n : 0x800n;
  const rounded = Number((magnitude & ~0x7ffn) | sticky);
  return value < 0n ? -rounded : rounded;
}

function plain(width: number, read: (view: DataView, at: number) => number): Codec {
  return {
    blockSize: 1,
    bytesPerBlock: width,
    scales: [],
    decode({ blocks, bytes, byteStart, values, valueStart }) {
      const view = new DataView(bytes.buffer, bytes.byteOffset + byteStart, width * blocks);
      for (let i = 0; i < blocks; i++) values[valueStart + i] = read(view, width * i);
    },
  };
}

export const f64: Codec = {
  ...plain(8, (view, at) => view.getFloat64(at, true)),
  scales: [floatField(8)],
};
export const bool: Codec = plain(1, (view, at) => (view.getUint8(at) === 0 ? 0 : 1));
export const u8: Codec = plain(1, (view, at) => view.getUint8(at));
export const i8: Codec = plain(1, (view, at) => view.getInt8(at));
export const i16: Codec = plain(2, (view, at) => view.getInt16(at, true));
export const i32: Codec = plain(4, (view, at) => view.getInt32(at, true));
export const i64: Codec = plain(8, (view, at) => roundOnce(view.getBigInt64(at, true)));
