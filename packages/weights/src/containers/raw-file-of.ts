import type { ByteSource } from '../byte-source.js';
import type { Container, MetadataValue, RawFile, RawTensor } from '../raw-file.js';
import { WeightsError } from '../errors.js';
import { invalid, shown } from './failures.js';
import { limits } from './limits.js';
import { tensorBytes } from './tensor-size.js';
import type { TensorHeader } from './tensor-size.js';

export interface RawFileParts {
  readonly container: Container;
  readonly source: ByteSource;
  readonly tensors: ReadonlyMap<string, RawTensor>;
  readonly metadata: ReadonlyMap<string, MetadataValue>;
}

/** A file that owns `source`: disposing of the one disposes of the other. */
export function rawFileOf({ container, source, tensors, metadata }: RawFileParts): RawFile {
  return {
    container,
    name: source.name,
    tensors,
    metadata,
    [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
  };
}

export interface StoredTensor extends Omit<TensorHeader, 'file'> {
  readonly source: ByteSource;
  /** Of the first byte in `source`. */
  readonly offset: number;
}

/** A tensor that lies in `source` as it is. @throws WeightsError `READ_OUT_OF_RANGE` when it does not fit */
export function storedTensor({ source, offset, tensor, shape, format }: StoredTensor): RawTensor {
  const byteLength = tensorBytes({ file: source.name, tensor, shape, format });
  if (byteLength > source.size - offset) {
    throw new WeightsError({
      code: 'READ_OUT_OF_RANGE',
      message: `${source.name}: tensor ${shown(tensor)} ends at ${offset + byteLength}, and the file at ${source.size}; it is truncated or its header is wrong`,
      expected: source.size,
      got: offset + byteLength,
    });
  }
  return {
    name: tensor,
    shape,
    format,
    byteLength,
    read: (options) => source.read(offset, byteLength, options),
  };
}

/** Characters that would break the line of an error, or steer a terminal. */
const controlCharacter = /[\p{Cc}\u2028\u2029]/u;

/**
 * Adds under its name.
 * @throws WeightsError `CONTAINER_INVALID` for a second tensor of that name, too many tensors, or a name that is too long or
 * has control characters
 */
export function addTensor(tensors: Map<string, RawTensor>, tensor: RawTensor, file: string): void {
  if (tensor.name.length > limits.nameBytes) {
    throw invalid(
      file,
      `the tensor ${shown(tensor.name)} has a name of ${tensor.name.length} characters`,
      {
        expected: limits.nameBytes,
        got: tensor.name.length,
      },
    );
  }
  if (controlCharacter.test(tensor.name))
    throw invalid(file, `the tensor ${shown(tensor.name)} has control characters in its name`);
  if (tensors.has(tensor.name)) throw invalid(file, `two tensors are named ${shown(tensor.name)}`);
  if (tensors.size >= limits.tensors) {
    throw invalid(file, `it has more than ${limits.tensors} tensors`, { expected: limits.tensors });
  }
  tensors.set(tensor.name, tensor);
}

export interface Extent {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

/** @throws WeightsError `CONTAINER_INVALID` when two extents that hold bytes overlap */
export function refuseOverlaps(extents: readonly Extent[], file: string): void {
  const sorted = extents.filter(({ start, end }) => end > start).sort((a, b) => a.start - b.start);
  for (const [i, extent] of sorted.entries()) {
    const next = sorted[i + 1];
    if (next !== undefined && next.start < extent.end) {
      throw invalid(file, `${shown(extent.name)} and ${shown(next.name)} overlap`, {
        expected: `offset ${extent.end} or more`,
        got: `offset ${next.start}`,
      });
    }
  }
}
