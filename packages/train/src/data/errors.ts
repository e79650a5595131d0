import { RwkvError } from '@rwkv-ts/backend';

/**
 * - `TOKEN_FILES_INVALID`: an index breaks its own format, or the token file is not the one it speaks of.
 * - `TOKEN_TYPE_UNSUPPORTED`: an index whose tokens are fractions, or of a type that nobody has defined.
 * - `TOKEN_INVALID`: a token that is negative, outside the vocabulary, or too large for the type it is to be written as.
 * - `TEXT_INVALID`: a file that is not UTF-8, or a line that is not JSON or has not the fields it needs.
 * - `TOO_FEW_TOKENS`: not enough to fill what a sampler walks over.
 * - `POSITION_INVALID`: a saved position that is none, or belongs to other data or another sampler.
 * - `ABORTED`: the caller's signal fired.
 */
export type DataErrorCode =
  | 'TOKEN_FILES_INVALID'
  | 'TOKEN_TYPE_UNSUPPORTED'
  | 'TOKEN_INVALID'
  | 'TEXT_INVALID'
  | 'TOO_FEW_TOKENS'
  | 'POSITION_INVALID'
  | 'ABORTED';

/** Anything wrong with what a model is to learn from. */
export class DataError extends RwkvError<DataErrorCode> {}

/** @throws DataError `ABORTED` */
export function throwIfAborted(what: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted === true)
    throw new DataError({
      code: 'ABORTED',
      message: `${what} was aborted`,
      cause: signal.reason,
    });
}

/** @throws TypeError for anything but an integer in the range */
export function checkInteger(
  name: string,
  value: number,
  { minimum = 0, maximum = Number.MAX_SAFE_INTEGER }: { minimum?: number; maximum?: number } = {},
): void {
  if (Number.isSafeInteger(value) && value >= minimum && value <= maximum) return;
  const upper = maximum === Number.MAX_SAFE_INTEGER ? '2^53 - 1' : String(maximum);
  throw new TypeError(`${name} is an integer from ${minimum} to ${upper}, not ${String(value)}`);
}
