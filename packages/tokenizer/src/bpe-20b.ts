import { readByteLevelBpe, type ByteLevelBpe } from './bpe-json.js';
import { invalidVocabulary, TokenizerError } from './errors.js';
import { bytesOf, joinTokens, textOf, type TokenTable } from './token-table.js';
import type { StreamDecoder, Tokenizer } from './tokenizer.js';
import { decodeStrict, decodeText, encodeText, Utf8StreamDecoder } from './utf8.js';

/** Ids 0 to 50276; models trained with padding have 50304 rows. */
export const SIZE_20B = 50277;
const END_OF_TEXT_20B = '<|endoftext|>';

/** What the library is used for: text to ids. Its decoder is not used, bytes are joined here. */
interface Encoder {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] };
}

/**
 * A byte-level BPE tokenizer. Text is normalised to NFC first, as the models were trained, so decoding gives the NFC
 * form of what was encoded. Special tokens are never read from text: "<|endoftext|>" is thirteen characters like any.
 */
export class BpeTokenizer implements Tokenizer {
  readonly name: string;
  readonly vocabularySize: number;
  readonly endOfText: number | undefined;
  readonly #encoder: Encoder;
  readonly #table: TokenTable;
  /** By the token's bytes, each as one code unit. */
  readonly #ids: ReadonlyMap<string, number>;

  constructor(name: string, encoder: Encoder, { table, ids }: Pick<ByteLevelBpe, 'table' | 'ids'>) {
    this.name = name;
    this.vocabularySize = table.size;
    this.endOfText = table.endOfText;
    this.#encoder = encoder;
    this.#table = table;
    this.#ids = ids;
  }

  encode(text: string): Uint32Array {
    if (typeof text !== 'string') throw new TypeError('encode: expected a string');
    // Through UTF-8 and back, so that lone surrogates are U+FFFD here as in every other tokenizer.
    const wellFormed = decodeText(encodeText(text));
    return Uint32Array.from(this.#encoder.encode(wellFormed, { add_special_tokens: false }).ids);
  }

  encodeBytes(bytes: Uint8Array): Uint32Array {
    if (!(bytes instanceof Uint8Array)) throw new TypeError('encodeBytes: expected a Uint8Array');
    const text = decodeStrict(bytes);
    if (text === undefined) {
      throw new TokenizerError({
        code: 'INPUT_NOT_UTF8',
        message: `the ${this.name} tokenizer works on text: expected valid UTF-8, got ${bytes.length} bytes that are not`,
        expected: 'valid UTF-8',
        got: bytes.length,
      });
    }
    return this.encode(text);
  }

  count(text: string): number {
    return this.encode(text).length;
  }

  decode(tokens: ArrayLike<number>): string {
    return textOf(this.#table, tokens);
  }

  decodeBytes(tokens: ArrayLike<number>): Uint8Array {
    return joinTokens(this.#table, tokens);
  }

  tokenBytes(token: number): Uint8Array {
    return bytesOf(this.#table, token);
  }

  tokenOf(bytes: Uint8Array): number | undefined {
    let key = '';
    for (const byte of bytes) key += String.fromCharCode(byte);
    return this.#ids.get(key);
  }

  createDecoder(): StreamDecoder {
    return new Utf8StreamDecoder((token) => bytesOf(this.#table, token));
  }
}

/** Any byte-level BPE in the tokenizer.json format, under the name given. */
export async function byteLevelBpe(name: string, json: unknown): Promise<BpeTokenizer> {
  const bpe = readByteLevelBpe(json);
  const { Tokenizer: LibraryTokenizer } = await import('@huggingface/tokenizers');
  return new BpeTokenizer(name, new LibraryTokenizer(bpe.definition, {}), bpe);
}

/**
 * The GPT-NeoX 20B tokenizer of the Pile and Raven models, from its tokenizer.json (its text or the parsed object).
 * Encoding is done by `@huggingface/tokenizers`, which is loaded only now.
 *
 * Throws `VOCABULARY_MISSING` when called without the file, `VOCABULARY_INVALID` for anything but a byte-level BPE of
 * 50277 tokens with "<|endoftext|>" as token 0. Patterns in the file are not run: only the known ones are accepted.
 */
export async function bpeTokenizer20b(tokenizerJson?: object | string): Promise<Tokenizer> {
  if (tokenizerJson === undefined) {
    throw new TokenizerError({
      code: 'VOCABULARY_MISSING',
      message:
        'the 20B tokenizer needs its vocabulary, which this package does not contain: expected the contents of 20B_tokenizer.json ' +
        '(2.5 MB; in the ChatRWKV repository, and in the npm package rwkv-tokenizer-node), or tokenizer.json of EleutherAI/gpt-neox-20b; got nothing. ' +
        'Pass the text of the file to bpeTokenizer20b, or its bytes to loadTokenizer',
      expected: '20B_tokenizer.json',
      got: undefined,
    });
  }
  const json = typeof tokenizerJson === 'string' ? parseJson(tokenizerJson) : tokenizerJson;
  const tokenizer = await byteLevelBpe('20b', json);
  if (tokenizer.vocabularySize !== SIZE_20B)
    throw invalidVocabulary('the size', `${SIZE_20B} tokens for 20B`, tokenizer.vocabularySize);
  if (tokenizer.endOfText !== 0)
    throw invalidVocabulary('token 0', `the special token ${END_OF_TEXT_20B}`, 'something else');
  return tokenizer;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new TokenizerError({
      code: 'VOCABULARY_INVALID',
      message: `tokenizer.json: expected JSON, got ${text.length} characters that are not: ${String(cause)}`,
      expected: 'JSON',
      got: text.length,
      cause,
    });
  }
}
