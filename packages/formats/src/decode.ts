import type { FormatName } from './formats.js';
import { checkedCodec, spanOf, type FormatRange } from './range-of-blocks.js';
import { countIn, expectLength } from './size.js';

/**
 * Decodes part of a tensor into `values`; allocates nothing that grows with it.
 * @throws FormatsError `FORMAT_BLOCK_MISMATCH`, `FORMAT_SIZE_MISMATCH`, `FORMAT_SIZE_INVALID`, `FORMAT_UNKNOWN`
 */
export function decodeRange(range: FormatRange): void {
  const codec = checkedCodec(range);
  codec.decode(spanOf(codec, range));
}

/**
 * Decodes whole blocks to f32, to the bit what GGML's `dequantize_row_*` computes. Products of scale and integers are
 * exact; the one rounding is that of the result to f32, so contracting operations (fma) makes no difference. NaN
 * payloads out of damaged scales are not specified.
 * @param out receives the numbers and is returned; must have exactly their length. Default: a new array.
 * @throws FormatsError `FORMAT_SIZE_MISMATCH`, `FORMAT_UNKNOWN`
 */
export function decode(format: FormatName, bytes: Uint8Array, out?: Float32Array): Float32Array {
  const count = countIn(format, bytes.length);
  const values = out ?? new Float32Array(count);
  expectLength(`values for ${bytes.length} bytes of ${format}`, count, values.length);
  decodeRange({ format, bytes, first: 0, count, values, at: 0 });
  return values;
}
