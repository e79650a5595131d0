import type { ByteSource } from '@rwkv-ts/weights';
import { DataError, checkInteger, throwIfAborted } from './errors.js';
import {
  type ReadTokensOptions,
  type TokenData,
  checkDocumentIndex,
  checkTokenRange,
} from './token-data.js';
import { type TokenIndex, documentBytes, readTokenIndex } from './token-index.js';
import { type TokenType, decodeTokens, tokenTypes } from './token-types.js';

/** A `.bin` and the `.idx` beside it. */
export interface TokenFilePair {
  readonly tokens: ByteSource;
  readonly index: ByteSource;
}

export interface OpenTokensOptions {
  /** A pair of ones and zeros, one for each token: which of them are learned. `createTokenWriter` makes it. */
  readonly mask?: TokenFilePair;
  /** Tokens from here on are refused when they are read. Default: what the type of the tokens can hold. */
  readonly vocabularySize?: number;
  readonly signal?: AbortSignal;
}

/** Token files as they lie on a disk or a server. */
export interface TokenFiles extends TokenData {
  readonly type: TokenType;
}

/**
 * Opens token files as RWKV-LM's and Megatron's tools write them. The index is read through once and checked, and of the
 * tokens only those that are asked for are read. Takes over its sources, also when it fails.
 * @throws DataError `TOKEN_FILES_INVALID`, `TOKEN_TYPE_UNSUPPORTED`, `ABORTED`; WeightsError `SOURCE_FAILED`
 */
export async function openTokens(
  pair: TokenFilePair,
  { mask, vocabularySize, signal }: OpenTokensOptions = {},
): Promise<TokenFiles> {
  const sources = [pair, ...(mask === undefined ? [] : [mask])].flatMap((each) => [
    each.tokens,
    each.index,
  ]);
  try {
    if (vocabularySize !== undefined)
      checkInteger('vocabularySize', vocabularySize, { minimum: 1 });
    const index = await openIndex(pair, signal);
    if (mask !== undefined) checkMask(mask, await openIndex(mask, signal), index);
    return tokenFilesOf({ pair, index, mask, vocabularySize, sources });
  } catch (error) {
    await disposeAll(sources);
    throw error;
  }
}

async function openIndex(
  { tokens, index }: TokenFilePair,
  signal: AbortSignal | undefined,
): Promise<TokenIndex> {
  const read = await readTokenIndex(index, signal);
  const expected = read.tokens * tokenTypes[read.type].bytes;
  if (tokens.size !== expected)
    throw new DataError({
      code: 'TOKEN_FILES_INVALID',
      message: `${tokens.name}: its index speaks of ${read.tokens} tokens in ${expected} bytes, but it has ${tokens.size}; the two are not of one pair, or one is cut short`,
      expected,
      got: tokens.size,
    });
  return read;
}

function checkMask({ index }: TokenFilePair, mask: TokenIndex, { tokens }: TokenIndex): void {
  if (mask.type !== 'uint8' || mask.tokens !== tokens)
    throw new DataError({
      code: 'TOKEN_FILES_INVALID',
      message: `${index.name}: a mask has a uint8 for each of the ${tokens} tokens, this has ${mask.tokens} ${mask.type}`,
      expected: tokens,
      got: mask.tokens,
    });
}

function tokenFilesOf({
  pair,
  index,
  mask,
  vocabularySize,
  sources,
}: {
  pair: TokenFilePair;
  index: TokenIndex;
  mask: TokenFilePair | undefined;
  vocabularySize: number | undefined;
  sources: readonly AsyncDisposable[];
}): TokenFiles {
  const { type, tokens, documents } = index;
  const { name } = pair.tokens;
  const { bytes, maximum } = tokenTypes[type];
  const data = { name, tokens, documents };
  const limit = Math.min(vocabularySize ?? Infinity, maximum + 1);
  return {
    ...data,
    type,
    async read(offset, length, options) {
      checkTokenRange(data, offset, length);
      const encoded = await readRange(pair.tokens, offset * bytes, length * bytes, options);
      return decodeTokens(encoded, { type, limit, file: name, from: offset });
    },
    ...(mask === undefined
      ? {}
      : {
          async readMask(offset: number, length: number, options?: ReadTokensOptions) {
            checkTokenRange(data, offset, length);
            return readRange(mask.tokens, offset, length, options);
          },
        }),
    async document(at) {
      checkDocumentIndex(data, at);
      const [begin, end] = await documentBytes(pair.index, index, at);
      return { offset: begin / bytes, length: (end - begin) / bytes };
    },
    [Symbol.asyncDispose]: () => disposeAll(sources),
  };
}

async function readRange(
  source: ByteSource,
  offset: number,
  length: number,
  { signal }: ReadTokensOptions = {},
): Promise<Uint8Array> {
  throwIfAborted('reading tokens', signal);
  return source.read(offset, length, signal === undefined ? {} : { signal });
}

async function disposeAll(sources: readonly AsyncDisposable[]): Promise<void> {
  for (const source of sources) await source[Symbol.asyncDispose]();
}
