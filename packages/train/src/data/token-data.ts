import { checkInteger, throwIfAborted } from './errors.js';

export interface ReadTokensOptions {
  readonly signal?: AbortSignal | undefined;
}

/** Where a document's tokens stand, its end-of-document token included. */
export interface TokenRange {
  readonly offset: number;
  readonly length: number;
}

/** A row of tokens, document after document, that is read in ranges and never whole. */
export interface TokenData extends AsyncDisposable {
  /** Shown to people. */
  readonly name: string;
  /** Tokens in all. */
  readonly tokens: number;
  readonly documents: number;
  /**
   * Exactly `length` tokens from `offset`, in a new array.
   * @throws RangeError for a range that is not inside; DataError `TOKEN_INVALID`, `ABORTED`; WeightsError `SOURCE_FAILED`
   */
  read(offset: number, length: number, options?: ReadTokensOptions): Promise<Uint32Array>;
  /**
   * For the same range: 1 where the token is to be learned, 0 where it is only read (a prompt). Undefined where there is
   * no mask, and every token is learned.
   */
  readonly readMask?: (
    offset: number,
    length: number,
    options?: ReadTokensOptions,
  ) => Promise<Uint8Array>;
  /** @throws RangeError for an index outside */
  document(index: number): Promise<TokenRange>;
}

/** @throws RangeError */
export function checkTokenRange(
  { name, tokens }: Pick<TokenData, 'name' | 'tokens'>,
  offset: number,
  length: number,
): void {
  checkInteger('offset', offset);
  checkInteger('length', length);
  if (offset + length > tokens)
    throw new RangeError(
      `${name}: tokens ${offset} to ${offset + length} were asked for; there are ${tokens}`,
    );
}

/** @throws RangeError */
export function checkDocumentIndex(
  { name, documents }: Pick<TokenData, 'name' | 'documents'>,
  index: number,
): void {
  checkInteger('index', index);
  if (index >= documents)
    throw new RangeError(`${name}: document ${index} was asked for; there are ${documents}`);
}

export interface MemoryTokensOptions {
  readonly name?: string;
  /** 1 for each token that is learned; default all. As long as the tokens. */
  readonly mask?: Uint8Array;
  /** Lengths of the documents, which add up to the number of tokens. Default: one document. */
  readonly documents?: readonly number[];
}

/** Tokens in memory, which are not copied and must not change. @throws TypeError for lengths that do not fit */
export function memoryTokens(
  tokens: Uint32Array,
  { name = 'memory', mask, documents = [tokens.length] }: MemoryTokensOptions = {},
): TokenData {
  if (mask !== undefined && mask.length !== tokens.length)
    throw new TypeError(`the mask has ${mask.length} entries for ${tokens.length} tokens`);
  const starts = [0];
  for (const length of documents) {
    checkInteger('the length of a document', length);
    starts.push(starts.at(-1)! + length);
  }
  if (starts.at(-1) !== tokens.length)
    throw new TypeError(
      `documents of ${starts.at(-1)!} tokens in all, but ${tokens.length} are there`,
    );
  const data = { name, tokens: tokens.length, documents: documents.length };
  return {
    ...data,
    async read(offset, length, { signal } = {}) {
      throwIfAborted('reading tokens', signal);
      checkTokenRange(data, offset, length);
      return tokens.slice(offset, offset + length);
    },
    ...(mask === undefined
      ? {}
      : {
          async readMask(offset: number, length: number, { signal }: ReadTokensOptions = {}) {
            throwIfAborted('reading tokens', signal);
            checkTokenRange(data, offset, length);
            return mask.slice(offset, offset + length);
          },
        }),
    async document(index) {
      checkDocumentIndex(data, index);
      return { offset: starts[index]!, length: starts[index + 1]! - starts[index]! };
    },
    async [Symbol.asyncDispose]() {},
  };
}
