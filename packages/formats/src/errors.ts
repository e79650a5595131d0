import { RwkvError } from '@rwkv-ts/backend';

/**
 * - `FORMAT_UNKNOWN`: no such format name.
 * - `FORMAT_BLOCK_MISMATCH`: a count, or a matrix's last dimension, is not a multiple of the block.
 * - `FORMAT_SIZE_MISMATCH`: bytes or values are not as long as format and count say, or a range leaves its array.
 * - `FORMAT_SIZE_INVALID`: a count or dimension is not a non-negative integer, or its bytes exceed 2^53 - 1.
 * - `FORMAT_NOT_ENCODABLE`: the format can only be decoded, or a value (NaN, infinity, a scale beyond f16) does not fit it.
 * - `FORMAT_NO_LOSSLESS_TARGET`: none of the wanted formats holds every value of the weight.
 */
export type FormatsErrorCode =
  | 'FORMAT_UNKNOWN'
  | 'FORMAT_BLOCK_MISMATCH'
  | 'FORMAT_SIZE_MISMATCH'
  | 'FORMAT_SIZE_INVALID'
  | 'FORMAT_NOT_ENCODABLE'
  | 'FORMAT_NO_LOSSLESS_TARGET';

/** An error of this package: bytes, counts or values that do not fit a format. */
export class FormatsError extends RwkvError<FormatsErrorCode> {}
