import { RwkvError } from '@rwkv-ts/backend';

/**
 * - `VOCABULARY_INVALID`: a vocabulary (text, GGUF strings, tokenizer.json, binary) breaks a rule; the message says where.
 * - `VOCABULARY_CORRUPT`: a binary vocabulary was cut short or changed: its length or checksum is wrong.
 * - `VERSION_UNSUPPORTED`: a binary vocabulary was written by a newer version of this package.
 * - `FORMAT_UNKNOWN`: the bytes are none of the vocabulary formats `loadTokenizer` knows.
 * - `VOCABULARY_MISSING`: the 20B tokenizer was asked for without its tokenizer.json; the message says which file to get.
 * - `VOCABULARY_MISMATCH`: the tokenizer does not belong to a model of that vocabulary size.
 * - `UNKNOWN_TOKEN`: a token id has no entry in the vocabulary.
 * - `INPUT_NOT_UTF8`: bytes given to a tokenizer that works on text are not UTF-8.
 * - `TEXT_TOO_LONG`: the tokens decode to more text than one string may hold; decode bytes, or in parts.
 */
export type TokenizerErrorCode =
  | 'VOCABULARY_INVALID'
  | 'VOCABULARY_CORRUPT'
  | 'VERSION_UNSUPPORTED'
  | 'FORMAT_UNKNOWN'
  | 'VOCABULARY_MISSING'
  | 'VOCABULARY_MISMATCH'
  | 'UNKNOWN_TOKEN'
  | 'INPUT_NOT_UTF8'
  | 'TEXT_TOO_LONG';

/** Everything that can go wrong with a vocabulary or with token ids. */
export class TokenizerError extends RwkvError<TokenizerErrorCode> {}

/** A broken vocabulary; `where` is a place a person can find ("line 17", "token 300"). */
export function invalidVocabulary(
  where: string,
  expected: string,
  got: string | number,
): TokenizerError {
  return new TokenizerError({
    code: 'VOCABULARY_INVALID',
    message: `${where} of the vocabulary: expected ${expected}, got ${got}`,
    expected,
    got,
  });
}
