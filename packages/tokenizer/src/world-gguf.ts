import { invalidVocabulary } from './errors.js';
import { LiteralProblem, parseBytesBody } from './python-literal.js';
import {
  MAX_TOKEN_BYTES,
  MAX_VOCABULARY,
  bytesOf,
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

const backslash = 0x5c;
const named: Readonly<Record<number, string>> = {
  0x09: '\\t',
  0x0a: '\\n',
  0x0d: '\\r',
  [backslash]: '\\\\',
};

/** The inside of Python's `repr` of bytes: `'` is escaped only where `"` occurs as well, as the quotes are then `'`. */
function escapeBytes(bytes: Uint8Array): string {
  const quoted = bytes.includes(0x27) && bytes.includes(0x22);
  let text = '';
  for (const byte of bytes) {
    if (byte === 0x27 && quoted) text += "\\'";
    else if (named[byte] !== undefined) text += named[byte];
    else if (byte >= 0x20 && byte < 0x7f) text += String.fromCharCode(byte);
    else text += `\\x${byte.toString(16).padStart(2, '0')}`;
  }
  return text;
}

/** What a GGUF file holds as `tokenizer.ggml.tokens`, by id; token 0 is the control token `<s>`. */
export function writeWorldGguf(table: TokenTable): string[] {
  return Array.from({ length: table.size }, (_, id) => {
    if (id === table.endOfText) return '<s>';
    if (table.offsets[id] === table.offsets[id + 1])
      throw invalidVocabulary(`token ${id}`, 'bytes, as a GGUF file has no gaps', 'nothing');
    return escapeBytes(bytesOf(table, id));
  });
}
