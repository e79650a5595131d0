import { RwkvError } from '@rwkv-ts/backend';

/**
 * - `OPTION_INVALID`: an option lies outside its range; `expected` is the range, `got` the value.
 * - `LOGITS_LENGTH`: the row is not as long as the vocabulary.
 * - `LOGITS_INVALID`: the row holds NaN or +Infinity, or only -Infinity.
 * - `NO_TOKEN_LEFT`: bans and biases of -Infinity cover every token the row allows.
 * - `TOKEN_INVALID`: a token id outside the vocabulary.
 * - `STATE_INVALID`: a saved state is damaged or of another version.
 */
export type SamplerErrorCode =
  | 'OPTION_INVALID'
  | 'LOGITS_LENGTH'
  | 'LOGITS_INVALID'
  | 'NO_TOKEN_LEFT'
  | 'TOKEN_INVALID'
  | 'STATE_INVALID';

export class SamplerError extends RwkvError<SamplerErrorCode> {}

/** Throws `TOKEN_INVALID` unless `token` is an id of the vocabulary. */
export function checkToken(token: number, vocabularySize: number): void {
  if (Number.isInteger(token) && token >= 0 && token < vocabularySize) return;
  throw new SamplerError({
    code: 'TOKEN_INVALID',
    message: `expected a token id from 0 to ${vocabularySize - 1}, got ${String(token)}`,
    expected: vocabularySize - 1,
    got: token,
  });
}

/** Throws `LOGITS_LENGTH` unless the row has one logit per token, `TypeError` unless it is a row at all. */
export function checkRow(logits: Float32Array | Float64Array, vocabularySize: number): void {
  if (!(logits instanceof Float32Array) && !(logits instanceof Float64Array)) {
    throw new TypeError('expected the logits as a Float32Array or a Float64Array');
  }
  if (logits.length === vocabularySize) return;
  throw new SamplerError({
    code: 'LOGITS_LENGTH',
    message: `expected a row of ${vocabularySize} logits, got ${logits.length}`,
    expected: vocabularySize,
    got: logits.length,
  });
}

/** The error for a row that is no distribution; names the first logit at fault. */
export function invalidRow(logits: Float32Array | Float64Array): SamplerError {
  const at = logits.findIndex((logit) => Number.isNaN(logit) || logit === Infinity);
  const fault =
    at < 0 ? 'all of them are -Infinity' : `logit ${at} of ${logits.length} is ${logits[at]!}`;
  return new SamplerError({
    code: 'LOGITS_INVALID',
    message: `expected finite logits (or -Infinity for some), but ${fault}`,
    expected: 'finite or -Infinity',
    got: at < 0 ? -Infinity : logits[at],
  });
}
