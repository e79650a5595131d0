import type { Tokenizer } from './tokenizer.js';
import { readWorldBinary, writeWorldBinary } from './world-binary.js';
import { readWorldGguf, writeWorldGguf } from './world-gguf.js';
import { readWorldText } from './world-text.js';
import { WorldTokenizer } from './world-tokenizer.js';

/** From the text of `rwkv_vocab_v20230424.txt`. Throws `VOCABULARY_INVALID` naming the line. */
export function worldTokenizerFromText(text: string): Tokenizer {
  if (typeof text !== 'string') throw new TypeError('worldTokenizerFromText: expected a string');
  return new WorldTokenizer(readWorldText(text));
}

/**
 * From what `worldTokenizerToBinary` wrote; the quickest. The bytes are not kept.
 * Throws `VOCABULARY_CORRUPT`, `VERSION_UNSUPPORTED` or `VOCABULARY_INVALID`.
 */
export function worldTokenizerFromBinary(bytes: Uint8Array): Tokenizer {
  if (!(bytes instanceof Uint8Array))
    throw new TypeError('worldTokenizerFromBinary: expected a Uint8Array');
  return new WorldTokenizer(readWorldBinary(bytes));
}

/** From the array `tokenizer.ggml.tokens` of a GGUF file. Throws `VOCABULARY_INVALID` naming the token. */
export function worldTokenizerFromGguf(tokens: readonly string[]): Tokenizer {
  if (!Array.isArray(tokens) || !tokens.every((token) => typeof token === 'string'))
    throw new TypeError('worldTokenizerFromGguf: expected an array of strings');
  return new WorldTokenizer(readWorldGguf(tokens));
}

/** The vocabulary of a World tokenizer in the compact binary form, about a quarter of the text. */
export function worldTokenizerToBinary(tokenizer: Tokenizer): Uint8Array {
  if (!(tokenizer instanceof WorldTokenizer))
    throw new TypeError(
      `worldTokenizerToBinary: expected a World tokenizer, got "${tokenizer.name}"`,
    );
  return writeWorldBinary(tokenizer.table);
}

/** The tokens of a World tokenizer as a GGUF file holds them (`tokenizer.ggml.tokens`), by id. */
export function worldTokenizerToGguf(tokenizer: Tokenizer): string[] {
  if (!(tokenizer instanceof WorldTokenizer))
    throw new TypeError(
      `worldTokenizerToGguf: expected a World tokenizer, got "${tokenizer.name}"`,
    );
  return writeWorldGguf(tokenizer.table);
}
