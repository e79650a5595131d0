import { invalidVocabulary } from './errors.js';
import { LiteralProblem, parseBytesBody } from './python-literal.js';
import {
  MAX_TOKEN_BYTES,
  MAX_VOCABULARY,
  TokenTableBuilder,
  type TokenTable,
} from './token-table.js';
import { END_OF_TEXT } from './world-tokenizer.js';

/** What converters fill the embedding's unused rows with. */
const padding = /^\[PAD\d+\]$/;

/**
 * Reads the `tokenizer.ggml.tokens` of a GGUF file whose `tokenizer.ggml.model` is `rwkv`: one string per id, each the
 * inside of a Python bytes literal. Token 0 is a control token, whatever it is called. `[PADn]` strings at the end are
 * unused rows; the vocabulary ends before them.
 */
export function readWorldGguf(tokens: readonly string[]): TokenTable {
  if (tokens.length > MAX_VOCABULARY)
    throw invalidVocabulary('the token list', `at most ${MAX_VOCABULARY} tokens`, tokens.length);
  let size = tokens.length;
  while (size > 1 && padding.test(tokens[size - 1]!)) size--;
  const builder = new TokenTableBuilder();
  const token = new Uint8Array(4 * MAX_TOKEN_BYTES);
  for (let id = 1; id < size; id++) {
    const body = tokens[id]!;
    const where = `token ${id}`;
    if (body.length > 4 * MAX_TOKEN_BYTES)
      throw invalidVocabulary(where, `at most ${4 * MAX_TOKEN_BYTES} characters`, body.length);
    const length = parseBytesBody(body, token);
    if (length instanceof LiteralProblem)
      throw invalidVocabulary(where, length.expected, length.got);
    builder.add(id, token, length, where);
  }
  return builder.build(END_OF_TEXT);
}
