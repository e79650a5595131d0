import type { Tokenizer } from '@rwkv-ts/tokenizer';
import {
  type DocumentPart,
  type DocumentSource,
  jsonLineParts,
  textParts,
} from './document-parts.js';
import { DataError, checkInteger, throwIfAborted } from './errors.js';
import { checkSeed, checkShare, isHeldOut } from './held-out.js';
import { StreamEncoder } from './stream-encoder.js';
import type { TokenWriter } from './token-writer.js';

export interface PrepareProgress {
  /** Of all sources, read so far. */
  readonly bytes: number;
  /** Undefined where a source does not know its size. */
  readonly bytesTotal: number | undefined;
  readonly tokens: number;
  readonly documents: number;
}

export interface PrepareTokensOptions {
  readonly sources: Iterable<DocumentSource>;
  readonly tokenizer: Tokenizer;
  /** Closed by the caller, as it is the caller's to discard. */
  readonly training: TokenWriter;
  /**
   * Where a share of the documents goes that training does not see: above 0 and at most 0.5. Of each text that is a
   * single document it is the end, which needs the source's size.
   */
  readonly heldOut?: {
    readonly writer: TokenWriter;
    readonly share: number;
    readonly seed?: number;
  };
  /** The token behind every document. Default: the tokenizer's end of text; null for none. */
  readonly endOfDocument?: number | null;
  readonly onProgress?: (progress: PrepareProgress) => void;
  readonly signal?: AbortSignal;
}

export interface PreparedTokens {
  readonly bytes: number;
  readonly training: PreparedShare;
  readonly heldOut?: PreparedShare;
}

export interface PreparedShare {
  readonly tokens: number;
  readonly documents: number;
  /** Of the tokens, those that are learned. */
  readonly learned: number;
}

/**
 * Reads texts, turns them into tokens and writes them, with the memory of a piece of text. A prompt and its completion are
 * encoded apart, as they are when the model is asked. The end-of-document token is learned.
 * @throws DataError `TEXT_INVALID`, `ABORTED`, `TOO_FEW_TOKENS` where one of the two would be empty; WeightsError
 * `SINK_FAILED`; what the sources throw
 */
export async function prepareTokens(options: PrepareTokensOptions): Promise<PreparedTokens> {
  const { training, heldOut } = options;
  const sources = [...options.sources];
  checkOptions(options, sources);
  const job = new Preparation(options, totalOf(sources));
  for (const source of sources) await job.read(source);
  for (const [writer, what] of [
    [training, 'the training data'],
    [heldOut?.writer, 'the held-out data'],
  ] as const) {
    if (writer?.tokens === 0)
      throw new DataError({
        code: 'TOO_FEW_TOKENS',
        message: `${what} would be empty: ${job.documents} documents were read`,
        expected: 1,
        got: 0,
      });
  }
  return {
    bytes: job.bytes,
    training: shareOf(training),
    ...(heldOut === undefined ? {} : { heldOut: shareOf(heldOut.writer) }),
  };
}

function checkOptions(
  { heldOut, endOfDocument, tokenizer }: PrepareTokensOptions,
  sources: readonly DocumentSource[],
): void {
  if (typeof endOfDocument === 'number') {
    checkInteger('endOfDocument', endOfDocument, { maximum: tokenizer.vocabularySize - 1 });
  }
  if (heldOut === undefined) return;
  checkShare(heldOut.share);
  checkSeed(heldOut.seed ?? 0);
  const unknown = sources.find((source) => isOneDocument(source) && source.size === undefined);
  if (unknown !== undefined)
    throw new TypeError(
      `${unknown.name}: the end of a single document is held out, which needs its size in bytes`,
    );
}

function isOneDocument({ format, separator = '' }: DocumentSource): boolean {
  return format === 'text' && separator === '';
}

function totalOf(sources: readonly DocumentSource[]): number | undefined {
  let total = 0;
  for (const { size } of sources) {
    if (size === undefined) return undefined;
    total += size;
  }
  return total;
}

function shareOf({ tokens, documents, learned }: TokenWriter): PreparedShare {
  return { tokens, documents, learned };
}

class Preparation {
  bytes = 0;
  documents = 0;
  readonly #options: PrepareTokensOptions;
  readonly #bytesTotal: number | undefined;
  readonly #encoder: StreamEncoder;
  readonly #endOfDocument: Uint32Array;
  /** Documents begun, of the whole run: what the held-out share is taken of. */
  #counted = 0;
  /** Whether the document that is being written has a token. */
  #isOpen = false;

  constructor(options: PrepareTokensOptions, bytesTotal: number | undefined) {
    this.#options = options;
    this.#bytesTotal = bytesTotal;
    this.#encoder = new StreamEncoder(options.tokenizer);
    const { endOfDocument = options.tokenizer.endOfText ?? null } = options;
    this.#endOfDocument = Uint32Array.from(endOfDocument === null ? [] : [endOfDocument]);
  }

  async read(source: DocumentSource): Promise<void> {
    const { signal, heldOut } = this.#options;
    const counted = { ...source, bytes: this.#count(source.bytes) };
    const isOne = isOneDocument(source);
    const splitAt =
      isOne && heldOut !== undefined ? Math.ceil(source.size! * (1 - heldOut.share)) : Infinity;
    const parts =
      source.format === 'text'
        ? textParts(counted, { splitAt, signal })
        : jsonLineParts(counted, { signal });
    let document = 0;
    let writer: TokenWriter | undefined;
    for await (const part of parts) {
      throwIfAborted('preparing tokens', signal);
      // Chosen by the first character, so that what is empty does not count.
      if (part.text !== '') writer ??= this.#writerFor(isOne, document);
      if (writer !== undefined) await this.#write(part, writer);
      if (!part.last) continue;
      document++;
      writer = undefined;
    }
  }

  #writerFor(isOne: boolean, document: number): TokenWriter {
    const { training, heldOut } = this.#options;
    if (heldOut === undefined) return training;
    // A single document was split in two; of several, each is one or the other.
    const { writer, share, seed = 0 } = heldOut;
    const held = isOne ? document === 1 : isHeldOut(this.#counted++, { share, seed });
    return held ? writer : training;
  }

  async #write({ text, learned, last }: DocumentPart, writer: TokenWriter): Promise<void> {
    const before = writer.tokens;
    for (const tokens of this.#encoder.push(text)) await writer.add(tokens, { learned });
    // What is learned and what is not are encoded apart, so a piece that ends one of them ends an encoding.
    if (last || !learned) await writer.add(this.#encoder.flush(), { learned });
    this.#isOpen ||= writer.tokens > before;
    if (!last) return;
    if (this.#isOpen) {
      await writer.add(this.#endOfDocument);
      writer.endDocument();
      this.documents++;
    }
    this.#isOpen = false;
    this.#report();
  }

  async *#count(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of bytes) {
      this.bytes += chunk.length;
      yield chunk;
      this.#report();
    }
  }

  #report(): void {
    const { training, heldOut, onProgress } = this.#options;
    onProgress?.({
      bytes: this.bytes,
      bytesTotal: this.#bytesTotal,
      tokens: training.tokens + (heldOut?.writer.tokens ?? 0),
      documents: this.documents,
    });
  }
}
