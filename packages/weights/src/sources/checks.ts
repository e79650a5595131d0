import { WeightsError } from '../errors.js';

/** What a range is checked against: anything with a name and a size. */
export interface Sized {
  readonly name: string;
  readonly size: number;
}

/**
 * @throws TypeError when a number is not a non-negative integer below 2^53: readers check file fields before they ask.
 * @throws WeightsError `READ_OUT_OF_RANGE`
 */
export function checkRange(source: Sized, offset: number, length: number): void {
  for (const [what, value] of [
    ['offset', offset],
    ['length', length],
  ] as const) {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new TypeError(`${what} is a non-negative integer, not ${value}`);
    }
  }
  if (offset + length > source.size) {
    throw new WeightsError({
      code: 'READ_OUT_OF_RANGE',
      message: `${source.name}: bytes ${offset} to ${offset + length} were asked for, but it ends at ${source.size}; it is truncated or its header is wrong`,
      expected: source.size,
      got: offset + length,
    });
  }
}

/** @throws WeightsError `ABORTED` */
export function throwIfAborted(name: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw aborted(name, signal.reason);
}

export function aborted(name: string, cause: unknown): WeightsError {
  return new WeightsError({ code: 'ABORTED', message: `${name}: reading was aborted`, cause });
}

/**
 * An array of `length` zero bytes.
 * @throws WeightsError `SOURCE_FAILED` when the platform refuses it, where `new Uint8Array` would throw a RangeError.
 */
export function allocate(name: string, length: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    throw new WeightsError({
      code: 'SOURCE_FAILED',
      message: `${name}: this platform cannot hold ${length} bytes in one array`,
      got: length,
      cause,
    });
  }
}

/** For sources whose disposal must make later reads fail. */
export function disposedError(name: string): WeightsError {
  return new WeightsError({
    code: 'SOURCE_FAILED',
    message: `${name}: read after it was disposed of`,
  });
}
