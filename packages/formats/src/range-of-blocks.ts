/** Part of a tensor, in numbers: what `decodeRange` and `encodeRange` work on. */
import type { BlockSpan, Codec } from './codec.js';
import { FormatsError } from './errors.js';
import { codecOf, type FormatName } from './formats.js';
import { bytesFor } from './size.js';

export interface FormatRange<Values extends Float32Array | Float64Array = Float32Array> {
  readonly format: FormatName;
  /** The encoded tensor, or any run of its blocks; any `byteOffset`. */
  readonly bytes: Uint8Array;
  /** The first number of the range, counted from the start of `bytes`; a multiple of the block. */
  readonly first: number;
  /** A multiple of the block. */
  readonly count: number;
  readonly values: Values;
  /** Where the range starts in `values`. */
  readonly at: number;
}

function outside(what: string, available: number, needed: number): FormatsError {
  return new FormatsError({
    code: 'FORMAT_SIZE_MISMATCH',
    message: `The range needs ${needed} ${what}, but there are ${available}.`,
    expected: needed,
    got: available,
  });
}

/**
 * Checks a range against its arrays.
 * @throws FormatsError `FORMAT_BLOCK_MISMATCH`, `FORMAT_SIZE_MISMATCH`, `FORMAT_SIZE_INVALID`, `FORMAT_UNKNOWN`
 */
export function checkedCodec(range: FormatRange<Float32Array | Float64Array>): Codec {
  const codec = codecOf(range.format);
  const end = bytesFor(range.format, range.first) + bytesFor(range.format, range.count);
  if (end > range.bytes.length) throw outside('bytes', range.bytes.length, end);
  // `at` is any whole number of values: f32 says the same of it as `bytesFor` says of a block format.
  bytesFor('f32', range.at);
  const last = range.at + range.count;
  if (last > range.values.length) throw outside('values', range.values.length, last);
  return codec;
}

/** The span of a checked range. */
export function spanOf(codec: Codec, range: FormatRange): BlockSpan {
  return {
    blocks: range.count / codec.blockSize,
    bytes: range.bytes,
    byteStart: (range.first / codec.blockSize) * codec.bytesPerBlock,
    values: range.values,
    valueStart: range.at,
  };
}
