/** Sizes: how many bytes so many numbers take, checked before anybody allocates. */
import { FormatsError } from './errors.js';
import { codecOf, type FormatName } from './formats.js';

function sizeInvalid(message: string, got: unknown): FormatsError {
  return new FormatsError({
    code: 'FORMAT_SIZE_INVALID',
    message,
    expected: 'an integer from 0 to 2^53 - 1',
    got,
  });
}

/**
 * Bytes of `count` numbers, `count` a multiple of the block.
 * @throws FormatsError `FORMAT_BLOCK_MISMATCH`, `FORMAT_SIZE_INVALID`, `FORMAT_UNKNOWN`
 */
export function bytesFor(format: FormatName, count: number): number {
  const { blockSize, bytesPerBlock } = codecOf(format);
  if (!Number.isSafeInteger(count) || count < 0) {
    throw sizeInvalid(`A count must be an integer from 0 to 2^53 - 1, got ${count}.`, count);
  }
  if (count % blockSize !== 0) {
    throw new FormatsError({
      code: 'FORMAT_BLOCK_MISMATCH',
      message: `${format} needs a multiple of ${blockSize} numbers, got ${count}.`,
      expected: blockSize,
      got: count,
    });
  }
  const bytes = (count / blockSize) * bytesPerBlock;
  if (!Number.isSafeInteger(bytes)) {
    throw sizeInvalid(`${count} numbers of ${format} exceed 2^53 - 1 bytes.`, count);
  }
  return bytes;
}

/**
 * The product of the dimensions; 1 for [].
 * @throws FormatsError `FORMAT_SIZE_INVALID`
 */
export function countOf(shape: readonly number[]): number {
  let count = 1;
  for (const dimension of shape) {
    count *= dimension;
    if (!Number.isSafeInteger(dimension) || dimension < 0 || !Number.isSafeInteger(count)) {
      throw sizeInvalid(
        `Dimensions must be integers from 0, their product at most 2^53 - 1, got [${shape.join(', ')}].`,
        shape,
      );
    }
  }
  return count;
}

/**
 * Bytes of a tensor, whose last dimension (`in` of a matrix [out, in]) must be a multiple of the block: no block crosses a row.
 * @throws FormatsError `FORMAT_BLOCK_MISMATCH`, `FORMAT_SIZE_INVALID`, `FORMAT_UNKNOWN`
 */
export function bytesForShape(format: FormatName, shape: readonly number[]): number {
  const { blockSize } = codecOf(format);
  const count = countOf(shape);
  const width = shape.at(-1) ?? 1;
  if (width % blockSize !== 0) {
    throw new FormatsError({
      code: 'FORMAT_BLOCK_MISMATCH',
      message: `${format} needs a last dimension that is a multiple of ${blockSize}, got [${shape.join(', ')}].`,
      expected: blockSize,
      got: width,
    });
  }
  return bytesFor(format, count);
}

/**
 * Checks an array's length.
 * @throws FormatsError `FORMAT_SIZE_MISMATCH`
 */
export function expectLength(what: string, expected: number, got: number): void {
  if (expected === got) return;
  throw new FormatsError({
    code: 'FORMAT_SIZE_MISMATCH',
    message: `Expected ${expected} ${what}, got ${got}.`,
    expected,
    got,
  });
}

/**
 * How many numbers `bytes` bytes hold.
 * @throws FormatsError `FORMAT_SIZE_MISMATCH` where the last block is cut off, `FORMAT_UNKNOWN`
 */
export function countIn(format: FormatName, bytes: number): number {
  const { blockSize, bytesPerBlock } = codecOf(format);
  if (bytes % bytesPerBlock !== 0) {
    throw new FormatsError({
      code: 'FORMAT_SIZE_MISMATCH',
      message: `${format} needs a multiple of ${bytesPerBlock} bytes, got ${bytes}.`,
      expected: bytesPerBlock,
      got: bytes,
    });
  }
  return (bytes / bytesPerBlock) * blockSize;
}
