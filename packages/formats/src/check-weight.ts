/** What `Backend.upload` checks of each weight before anything is allocated. */
import { BackendError, type HostWeight, type WeightFormat } from '@rwkv-ts/backend';
import { FormatsError } from './errors.js';
import { isWeightFormat } from './formats.js';
import { bytesForShape } from './size.js';

/** A weight as a matrix; a vector is one row. */
export interface WeightSize {
  readonly rows: number;
  readonly columns: number;
}

export interface WeightRules {
  /** Those that the backend computes on. */
  readonly formats: readonly WeightFormat[];
  /** Most rows, and most columns. Default: what a double counts. */
  readonly largestSize?: number;
}

type WeightHeader = Omit<HostWeight, 'bytes'>;

/**
 * Everything but the bytes.
 * @throws BackendError `WEIGHT_INVALID`, `UNSUPPORTED_WEIGHT_FORMAT`
 */
export function checkWeightHeader(
  weight: WeightHeader,
  { formats, largestSize = Number.MAX_SAFE_INTEGER }: WeightRules,
): WeightSize {
  const { name, shape, format } = weight;
  if (!formats.includes(format)) throw unsupportedFormat(weight, formats);
  if (typeof name !== 'string' || name === '') {
    throw invalid(weight, { expected: 'a name', got: JSON.stringify(name) });
  }
  const count = shape.reduce((total, size) => total * size, 1);
  const areSizes = shape.every((size) => Number.isSafeInteger(size) && size > 0);
  const columns = shape.at(-1) ?? 0;
  const rows = count / columns;
  if (shape.length === 0 || !areSizes || !Number.isSafeInteger(count)) {
    throw invalid(weight, { expected: 'positive sizes', got: `[${shape.join(', ')}]` });
  }
  if (columns > largestSize || rows > largestSize) {
    const expected = `at most ${largestSize} rows and columns`;
    throw invalid(weight, { expected, got: `[${shape.join(', ')}]` });
  }
  // Blocks that the rows cannot hold are told here, too.
  expectedBytes(weight);
  return { rows, columns };
}

/**
 * `has` tells the names that were there before.
 * @throws BackendError `WEIGHT_INVALID`, `UNSUPPORTED_WEIGHT_FORMAT`
 * @throws TypeError where the bytes are no Uint8Array
 */
export function checkWeight(
  weight: HostWeight,
  { has, ...rules }: WeightRules & { readonly has: (name: string) => boolean },
): WeightSize {
  const size = checkWeightHeader(weight, rules);
  const { name, bytes } = weight;
  if (has(name)) throw repeatedWeight(name);
  if (!(bytes instanceof Uint8Array)) {
    throw new TypeError(`Weight ${name} must have Uint8Array bytes.`);
  }
  const expected = expectedBytes(weight);
  if (bytes.length !== expected) {
    throw invalid(weight, { expected: `${expected} bytes`, got: bytes.length });
  }
  return size;
}

export function repeatedWeight(name: string): BackendError {
  return new BackendError({
    code: 'WEIGHT_INVALID',
    message: `Weight ${name} must occur once, got it twice.`,
    expected: 1,
    got: 2,
  });
}

function expectedBytes(weight: WeightHeader): number {
  // A claimed format is a known one, unless the backend made its own names up.
  if (!isWeightFormat(weight.format)) throw unsupportedFormat(weight, []);
  try {
    return bytesForShape(weight.format, weight.shape);
  } catch (cause) {
    if (!(cause instanceof FormatsError)) throw cause;
    throw invalid(weight, { expected: cause.expected, got: cause.got, cause });
  }
}

function unsupportedFormat(
  { name, format }: WeightHeader,
  formats: readonly WeightFormat[],
): BackendError {
  return new BackendError({
    code: 'UNSUPPORTED_WEIGHT_FORMAT',
    message: `Weight ${name} is in the format ${format}; supported: ${formats.join(', ')}.`,
    expected: [...formats],
    got: format,
  });
}

function invalid(
  { name, format, shape }: WeightHeader,
  options: { expected: unknown; got: unknown; cause?: unknown },
): BackendError {
  return new BackendError({
    code: 'WEIGHT_INVALID',
    message: `Weight ${name} ${format} [${shape.join(', ')}] must have ${String(options.expected)}, got ${String(options.got)}.`,
    ...options,
  });
}
