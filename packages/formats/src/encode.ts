import type { WeightFormat } from '@rwkv-ts/backend';
import { FormatsError } from './errors.js';
import { checkedCodec, spanOf, type FormatRange } from './range-of-blocks.js';
import { bytesFor, expectLength } from './size.js';

/** A multiple of every block, small enough to stay in cache. */
const chunkSize = 4096;

/** No block format can hold a NaN or infinity, and one would spoil its whole block. */
function expectFinite({ format, values, at, count }: FormatRange): void {
  for (let i = at; i < at + count; i++) {
    const value = values[i]!;
    if (value - value !== 0) {
      throw new FormatsError({
        code: 'FORMAT_NOT_ENCODABLE',
        message: `${format} holds finite numbers only, got ${value} at ${i}.`,
        expected: 'a finite number',
        got: value,
      });
    }
  }
}

function encodeFloats(range: FormatRange): void {
  const codec = checkedCodec(range);
  if (codec.encode === undefined) {
    throw new FormatsError({
      code: 'FORMAT_NOT_ENCODABLE',
      message: `${range.format} can be decoded, but not encoded.`,
      got: range.format,
    });
  }
  if (codec.blockSize > 1) expectFinite(range);
  codec.encode(spanOf(codec, range));
}

/**
 * Encodes numbers into part of a tensor's bytes; allocates nothing that grows with it. Float64 values are rounded to f32 first.
 * After an error the range's bytes may be partly written.
 * @throws FormatsError `FORMAT_NOT_ENCODABLE`, `FORMAT_BLOCK_MISMATCH`, `FORMAT_SIZE_MISMATCH`, `FORMAT_SIZE_INVALID`, `FORMAT_UNKNOWN`
 */
export function encodeRange(range: FormatRange<Float32Array | Float64Array>): void {
  const { format, bytes, first, count, values, at } = range;
  if (values instanceof Float32Array) {
    encodeFloats({ format, bytes, first, count, values, at });
    return;
  }
  checkedCodec(range);
  const chunk = new Float32Array(Math.min(chunkSize, count));
  for (let done = 0; done < count; done += chunk.length) {
    const size = Math.min(chunk.length, count - done);
    for (let i = 0; i < size; i++) chunk[i] = values[at + done + i]!;
    encodeFloats({ format, bytes, first: first + done, count: size, values: chunk, at: 0 });
  }
}

/**
 * Encodes numbers, a multiple of the block, to the bit as GGML's `quantize_row_*_ref` does (each f32 operation rounded, no fma).
 * f16 and bf16 round to nearest, ties to even.
 * @param values f32, or f64, which is rounded to f32 first.
 * @param out receives the bytes and is returned; must have exactly their length. Default: a new array.
 * @throws FormatsError `FORMAT_NOT_ENCODABLE` for NaN, infinity or a scale beyond f16 in a block format,
 * `FORMAT_BLOCK_MISMATCH`, `FORMAT_SIZE_MISMATCH`, `FORMAT_UNKNOWN`
 */
export function encode(
  format: WeightFormat,
  values: Float32Array | Float64Array,
  out?: Uint8Array,
): Uint8Array {
  const size = bytesFor(format, values.length);
  const bytes = out ?? new Uint8Array(size);
  expectLength(`bytes for ${values.length} values of ${format}`, size, bytes.length);
  encodeRange({ format, bytes, first: 0, count: values.length, values, at: 0 });
  return bytes;
}
