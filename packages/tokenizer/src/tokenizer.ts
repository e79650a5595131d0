/**
 * Text to token ids and back. A tokenizer is immutable once made and may be shared; encoding and decoding keep nothing
 * between calls. All returned arrays are fresh and belong to the caller.
 *
 * Strings are encoded as `TextEncoder` sees them: UTF-8, a lone surrogate counting as U+FFFD.
 */
export interface Tokenizer {
  /** `world`, `bytes` or `20b`. */
  readonly name: string;
  /** Every id the tokenizer can produce is below this; a model's own vocabulary may be padded beyond it. */
  readonly vocabularySize: number;
  /** The id that ends a text: never produced by encoding, no bytes and no text when decoded. */
  readonly endOfText: number | undefined;

  encode(text: string): Uint32Array;
  /** As `encode`, for bytes in any state; the 20B tokenizer works on text and throws `INPUT_NOT_UTF8` for the rest. */
  encodeBytes(bytes: Uint8Array): Uint32Array;
  /** `encode(text).length`, without making the array where the tokenizer allows it. */
  count(text: string): number;

  /** The text of the tokens' bytes taken together; what is not UTF-8 becomes U+FFFD; a byte order mark is kept. */
  decode(tokens: ArrayLike<number>): string;
  /** The tokens' bytes, joined. Throws `UNKNOWN_TOKEN` for an id without an entry. */
  decodeBytes(tokens: ArrayLike<number>): Uint8Array;
  /** The bytes of one token; empty for `endOfText`. Throws `UNKNOWN_TOKEN`. */
  tokenBytes(token: number): Uint8Array;
  /** The id whose bytes are exactly these, if there is one. */
  tokenOf(bytes: Uint8Array): number | undefined;

  /** A decoder for tokens that arrive one at a time. */
  createDecoder(): StreamDecoder;
}

/**
 * Decodes tokens one at a time without ever giving out half a character. Joining everything `push` and `flush` return
 * gives `decode` of all the tokens.
 */
export interface StreamDecoder {
  /** The text that became complete with this token; may be empty. Throws `UNKNOWN_TOKEN`, and is then unchanged. */
  push(token: number): string;
  /** What is left: U+FFFD if the last character never became complete. The decoder is as new afterwards. */
  flush(): string;
  /** An independent copy, for a generation that forks. */
  clone(): StreamDecoder;
}
