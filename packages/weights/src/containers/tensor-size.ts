import { bytesFor, formatInfo } from '@rwkv-ts/formats';
import type { FormatName } from '@rwkv-ts/formats';
import { invalid, shown } from './failures.js';
import { limits } from './limits.js';

export interface TensorHeader {
  /** Of the file, for errors. */
  readonly file: string;
  readonly tensor: string;
  /** Row-major, slowest first. */
  readonly shape: readonly number[];
  readonly format: FormatName;
}

/** Product of `shape`. @throws WeightsError `CONTAINER_INVALID` for bad dimensions or a product of 2^53 or more */
export function elementCount({ file, tensor, shape }: Omit<TensorHeader, 'format'>): number {
  const where = `tensor ${shown(tensor)}`;
  if (shape.length > limits.dimensions) {
    throw invalid(
      file,
      `${where} has ${shape.length} dimensions; at most ${limits.dimensions} are read`,
      {
        expected: limits.dimensions,
        got: shape.length,
      },
    );
  }
  for (const dimension of shape) {
    if (!Number.isSafeInteger(dimension) || dimension < 0) {
      throw invalid(file, `${where} has a dimension of ${dimension}`, { got: dimension });
    }
  }
  // A zero makes the product zero whatever the other dimensions are.
  const count = shape.includes(0)
    ? 0
    : shape.reduce((product, dimension) => product * dimension, 1);
  // At most 16 bytes a number, so byte counts of safe products stay exact.
  if (count > Number.MAX_SAFE_INTEGER / 16) {
    throw invalid(file, `${where} of shape [${shape.join(', ')}] has too many numbers`, {
      got: count,
    });
  }
  return count;
}

/** Bytes of a contiguous tensor. @throws WeightsError `CONTAINER_INVALID` also when rows do not divide into blocks */
export function tensorBytes(header: TensorHeader): number {
  const { file, tensor, shape, format } = header;
  const count = elementCount(header);
  const { blockSize } = formatInfo(format);
  const row = shape.at(-1) ?? 1;
  if (row % blockSize !== 0) {
    throw invalid(
      file,
      `tensor ${shown(tensor)} has rows of ${row} numbers, and ${format} packs ${blockSize} at a time`,
      {
        expected: blockSize,
        got: row,
      },
    );
  }
  return bytesFor(format, count);
}
