import type { ByteSink } from '@rwkv-ts/weights';
import { BufferedSink } from './buffered-sink.js';
import { checkInteger } from './errors.js';
import { GrowingNumbers } from './growing-numbers.js';
import { longestItem, writeTokenIndex } from './token-index.js';
import { type WrittenTokenType, encodeTokens, tokenTypeFor } from './token-types.js';

/** Where a `.bin` and its `.idx` go. */
export interface TokenSinkPair {
  readonly tokens: ByteSink;
  readonly index: ByteSink;
}

export interface CreateTokenWriterOptions extends TokenSinkPair {
  /** V: the smallest type that holds its tokens is written. */
  readonly vocabularySize: number;
  /**
   * Called when the first token that is not to be learned comes, for the files of the mask. Without it all tokens are
   * learned, and `add` refuses others.
   */
  readonly openMask?: () => Promise<TokenSinkPair>;
  /** Called when everything is in its place and there is no mask: one that an earlier pair had must not stay. */
  readonly removeMask?: () => Promise<void>;
}

/**
 * Writes token files, document after document, with the memory of what is being written and a few bytes for each
 * document. Nothing of the files is final before `close`; disposing without it discards them. One call at a time.
 */
export interface TokenWriter extends AsyncDisposable {
  readonly type: WrittenTokenType;
  /** So far. */
  readonly tokens: number;
  readonly documents: number;
  /** Of `tokens`, those that are learned. */
  readonly learned: number;
  /**
   * Tokens that go on with the document.
   * @throws DataError `TOKEN_INVALID`; WeightsError `SINK_FAILED`
   */
  add(tokens: ArrayLike<number>, options?: AddTokensOptions): Promise<void>;
  /** Ends the document. One without tokens is none, and nothing happens. */
  endDocument(): void;
  /** Writes the index, of documents that have ended, and puts all files in their places. */
  close(): Promise<void>;
}

export interface AddTokensOptions {
  /** False for a prompt, which is read and not learned. Default true. */
  readonly learned?: boolean;
}

const pieceTokens = 1 << 16;

/** A writer of token files; it takes over the sinks. */
export function createTokenWriter(options: CreateTokenWriterOptions): TokenWriter {
  checkInteger('vocabularySize', options.vocabularySize, { minimum: 1, maximum: 2 ** 31 });
  return new Writer(options);
}

/** A pair of files in the making. */
interface OpenPair {
  readonly sinks: TokenSinkPair;
  readonly tokens: BufferedSink;
}

function openPair(sinks: TokenSinkPair): OpenPair {
  return { sinks, tokens: new BufferedSink(sinks.tokens) };
}

class Writer implements TokenWriter {
  readonly type: WrittenTokenType;
  #tokens = 0;
  #learned = 0;
  readonly #options: CreateTokenWriterOptions;
  readonly #pair: OpenPair;
  #mask: OpenPair | undefined;
  readonly #sizes = new GrowingNumbers();
  /** The first item of each document. */
  readonly #documents = new GrowingNumbers();
  /** Tokens of the document that has not ended. */
  #open = 0;

  constructor(options: CreateTokenWriterOptions) {
    this.#options = options;
    this.#pair = openPair(options);
    this.type = tokenTypeFor(options.vocabularySize);
    this.#documents.push(0);
  }

  get tokens(): number {
    return this.#tokens;
  }

  get learned(): number {
    return this.#learned;
  }

  get documents(): number {
    return this.#documents.length - 1;
  }

  async add(tokens: ArrayLike<number>, { learned = true }: AddTokensOptions = {}): Promise<void> {
    const { length } = tokens;
    if (length === 0) return;
    const encoded = encodeTokens(tokens, this.type);
    if (!learned) await this.#beginMask();
    await this.#pair.tokens.write(encoded);
    await this.#mask?.tokens.write(new Uint8Array(length).fill(learned ? 1 : 0));
    this.#tokens += length;
    this.#open += length;
    if (learned) this.#learned += length;
  }

  endDocument(): void {
    if (this.#open === 0) return;
    for (let left = this.#open; left > 0; left -= longestItem)
      this.#sizes.push(Math.min(left, longestItem));
    this.#documents.push(this.#sizes.length);
    this.#open = 0;
  }

  async close(): Promise<void> {
    this.endDocument();
    const tables = { sizes: this.#sizes, documents: this.#documents };
    for (const [pair, type] of [
      [this.#pair, this.type],
      [this.#mask, 'uint8'],
    ] as const) {
      await pair?.tokens.flush();
      if (pair !== undefined) await writeTokenIndex(pair.sinks.index, { type, ...tables });
    }
    // The index last: who finds it finds what it speaks of.
    await this.#pair.sinks.tokens.close();
    await this.#mask?.sinks.tokens.close();
    await this.#mask?.sinks.index.close();
    await this.#pair.sinks.index.close();
    if (this.#mask === undefined) await this.#options.removeMask?.();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pair of [this.#pair, this.#mask]) {
      await pair?.sinks.tokens[Symbol.asyncDispose]();
      await pair?.sinks.index[Symbol.asyncDispose]();
    }
  }

  async #beginMask(): Promise<void> {
    if (this.#mask !== undefined) return;
    const { openMask } = this.#options;
    if (openMask === undefined)
      throw new TypeError('tokens that are not learned need openMask, where the mask is written');
    this.#mask = openPair(await openMask());
    // Everything before was learned.
    for (let left = this.#tokens; left > 0; left -= pieceTokens)
      await this.#mask.tokens.write(new Uint8Array(Math.min(left, pieceTokens)).fill(1));
  }
}
