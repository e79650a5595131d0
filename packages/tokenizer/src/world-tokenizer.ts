import { buildTrie, findToken, type ByteTrie } from './byte-trie.js';
import { invalidVocabulary } from './errors.js';
import { bytesOf, joinTokens, textOf, type TokenTable } from './token-table.js';
import type { StreamDecoder, Tokenizer } from './tokenizer.js';
import { TrieWalker } from './trie-walk.js';
import { Utf8StreamDecoder } from './utf8.js';

export const END_OF_TEXT = 0;
/** Code units per step: the bytes, the tokens and the hot part of the trie stay in the second-level cache. */
const CHUNK = 16384;
const textEncoder = new TextEncoder();

/** Called with each run of tokens; the array is overwritten afterwards. */
type TokenSink = (tokens: Uint32Array, count: number) => void;

/** A growing array of tokens. Starts with more room than ordinary text needs: pages never written to cost nothing. */
class TokenList {
  #tokens: Uint32Array;
  #length = 0;

  /** `units`: the code units or bytes to be encoded. */
  constructor(units: number) {
    this.#tokens = new Uint32Array((units >> 1) + 16);
  }

  readonly append: TokenSink = (tokens, count) => {
    const needed = this.#length + count;
    if (needed > this.#tokens.length) {
      const larger = new Uint32Array(needed + (needed >> 1));
      larger.set(this.#tokens.subarray(0, this.#length));
      this.#tokens = larger;
    }
    this.#tokens.set(tokens.subarray(0, count), this.#length);
    this.#length = needed;
  };

  toArray(): Uint32Array {
    return this.#tokens.slice(0, this.#length);
  }
}

/** The World tokenizer: greedy longest match over bytes. */
export class WorldTokenizer implements Tokenizer {
  readonly name = 'world';
  readonly vocabularySize: number;
  readonly endOfText = END_OF_TEXT;
  readonly #table: TokenTable;
  readonly #trie: ByteTrie;
  readonly #walker: TrieWalker;
  /** Reused by every call: nothing calls back while they are in use. */
  readonly #bytes: Uint8Array;
  readonly #tokens: Uint32Array;

  constructor(table: TokenTable) {
    if (table.endOfText !== END_OF_TEXT || table.offsets[1] !== 0)
      throw invalidVocabulary('token 0', 'the end of text, without bytes', 'a token');
    this.vocabularySize = table.size;
    this.#table = table;
    this.#trie = buildTrie(table);
    this.#walker = new TrieWalker(this.#trie);
    const room = 3 * CHUNK + this.#trie.longestToken;
    this.#bytes = new Uint8Array(room);
    this.#tokens = new Uint32Array(room);
  }

  /** The tokens' bytes, for writing the vocabulary. Not to be changed. */
  get table(): TokenTable {
    return this.#table;
  }

  encode(text: string): Uint32Array {
    if (text.length <= CHUNK) {
      let tokens: Uint32Array | undefined;
      this.#walkText(text, (found, count) => {
        tokens = found.slice(0, count);
      });
      return tokens ?? new Uint32Array(0);
    }
    const list = new TokenList(text.length);
    this.#walkText(text, list.append);
    return list.toArray();
  }

  encodeBytes(bytes: Uint8Array): Uint32Array {
    if (!(bytes instanceof Uint8Array)) throw new TypeError('encodeBytes: expected a Uint8Array');
    const list = new TokenList(bytes.length);
    const end = bytes.length;
    for (let at = 0; at < end; at = this.#walker.position) {
      const softEnd = Math.min(end, at + CHUNK);
      list.append(this.#tokens, this.#walker.walk(bytes, at, softEnd, end, this.#tokens, 0));
    }
    return list.toArray();
  }

  count(text: string): number {
    let total = 0;
    this.#walkText(text, (_tokens, count) => {
      total += count;
    });
    return total;
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
    return findToken(this.#trie, bytes);
  }

  createDecoder(): StreamDecoder {
    return new Utf8StreamDecoder((token) => bytesOf(this.#table, token));
  }

  /**
   * Goes through the text in chunks of UTF-8. A token may reach into the next chunk, so the last `longestToken` bytes
   * of a chunk begin no token until the next one has joined them.
   */
  #walkText(text: string, sink: TokenSink): void {
    if (typeof text !== 'string') throw new TypeError('encode: expected a string');
    const buffer = this.#bytes;
    let filled = 0;
    for (let from = 0; from < text.length;) {
      const to = chunkEnd(text, from);
      const piece = from === 0 && to === text.length ? text : text.slice(from, to);
      filled += textEncoder.encodeInto(
        piece,
        filled === 0 ? buffer : buffer.subarray(filled),
      ).written;
      from = to;
      const softEnd = to === text.length ? filled : Math.max(0, filled - this.#trie.longestToken);
      const count = this.#walker.walk(buffer, 0, softEnd, filled, this.#tokens, 0);
      sink(this.#tokens, count);
      buffer.copyWithin(0, this.#walker.position, filled);
      filled -= this.#walker.position;
    }
  }
}

/** The end of the chunk from `from`: never between the two halves of a surrogate pair. */
function chunkEnd(text: string, from: number): number {
  const end = from + CHUNK;
  if (end >= text.length) return text.length;
  const last = text.charCodeAt(end - 1);
  return last >= 0xd800 && last <= 0xdbff ? end - 1 : end;
}
