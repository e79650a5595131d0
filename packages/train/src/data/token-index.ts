/**
 * The index beside a token file, as Megatron's MMapIndexedDataset and RWKV-LM's binidx.py have it. Little-endian:
 *
 *   bytes 0..8     "MMIDIDX\0\0"
 *   u64            version, 1
 *   u8             type of the tokens (token-types.ts)
 *   u64            I, the number of items
 *   u64            E, the number of entries of the document index
 *   i32 [I]        tokens of each item
 *   i64 [I]        where each begins in the token file, in bytes
 *   i64 [E]        the first item of each document, and I at its end, so E = documents + 1
 *
 * A document is one item or several. Every known writer puts the items one after another, from 0 to the end of the token
 * file; the reader insists on it, because then ranges of tokens are ranges of the file.
 */
import type { ByteSink, ByteSource } from '@rwkv-ts/weights';
import { DataError, throwIfAborted } from './errors.js';
import { type TokenType, tokenTypeOf, tokenTypes } from './token-types.js';

const magic = Uint8Array.from('MMIDIDX\0\0', (character) => character.charCodeAt(0));
export const indexHeaderBytes = magic.length + 8 + 1 + 8 + 8;
/** The longest item that its size has room for. */
export const longestItem = 2 ** 31 - 1;
/** Entries that are read or written at a time. */
const pieceEntries = 1 << 16;

export interface TokenIndex {
  readonly type: TokenType;
  readonly items: number;
  readonly documents: number;
  /** Tokens in all items. */
  readonly tokens: number;
}

/** What the index says is refused here, with the file's name. */
function invalid(source: ByteSource, message: string, expected: unknown, got: unknown): DataError {
  return new DataError({
    code: 'TOKEN_FILES_INVALID',
    message: `${source.name}: ${message}`,
    expected,
    got,
  });
}

/**
 * Reads an index once from beginning to end, a piece at a time, and checks every entry.
 * @throws DataError `TOKEN_FILES_INVALID`, `TOKEN_TYPE_UNSUPPORTED`, `ABORTED`
 */
export async function readTokenIndex(
  source: ByteSource,
  signal?: AbortSignal,
): Promise<TokenIndex> {
  const header = await readHeader(source);
  const tokens = await checkItems(source, header, signal);
  await checkDocuments(source, header, signal);
  return { type: header.type, items: header.items, documents: header.entries - 1, tokens };
}

interface Header {
  readonly type: TokenType;
  readonly items: number;
  readonly entries: number;
}

async function readHeader(source: ByteSource): Promise<Header> {
  const { size, name } = source;
  if (size < indexHeaderBytes)
    throw invalid(
      source,
      `an index has at least ${indexHeaderBytes} bytes, this one has ${size}`,
      indexHeaderBytes,
      size,
    );
  const bytes = await source.read(0, indexHeaderBytes);
  if (!magic.every((byte, at) => bytes[at] === byte))
    throw invalid(source, 'it does not begin with MMIDIDX, as an index does', 'MMIDIDX', undefined);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = magic.length;
  const version = view.getBigUint64(at, true);
  if (version !== 1n) throw invalid(source, `version 1 is known, this is ${version}`, 1, version);
  at += 8;
  const type = tokenTypeOf(view.getUint8(at), name);
  const [items, entries] = [view.getBigUint64(at + 1, true), view.getBigUint64(at + 9, true)];
  // Both counts are held against the size of the file before anything is made of them.
  const expected = BigInt(indexHeaderBytes) + 12n * items + 8n * entries;
  if (expected !== BigInt(size))
    throw invalid(
      source,
      `${items} items and ${entries} entries of documents make ${expected} bytes, but it has ${size}`,
      expected,
      size,
    );
  if (entries === 0n)
    throw invalid(source, 'its document index is empty; it has one entry at least', 1, 0);
  return { type, items: Number(items), entries: Number(entries) };
}

async function checkItems(
  source: ByteSource,
  { type, items }: Header,
  signal: AbortSignal | undefined,
): Promise<number> {
  const { bytes } = tokenTypes[type];
  let tokens = 0;
  for (let from = 0; from < items; from += pieceEntries) {
    throwIfAborted('reading an index', signal);
    const count = Math.min(pieceEntries, items - from);
    const [sizes, pointers] = await Promise.all([
      viewOf(source, sizeAt(from), 4 * count),
      viewOf(source, pointerAt(items, from), 8 * count),
    ]);
    for (let at = 0; at < count; at++) {
      const length = sizes.getInt32(4 * at, true);
      if (length < 0)
        throw invalid(source, `item ${from + at} has ${length} tokens`, 'at least 0', length);
      const pointer = pointers.getBigInt64(8 * at, true);
      if (pointer !== BigInt(tokens * bytes))
        throw invalid(
          source,
          `item ${from + at} begins at byte ${pointer}, where the items before it end at ${tokens * bytes}`,
          tokens * bytes,
          pointer,
        );
      tokens += length;
    }
  }
  return tokens;
}

async function checkDocuments(
  source: ByteSource,
  { items, entries }: Header,
  signal: AbortSignal | undefined,
): Promise<void> {
  let last = 0n;
  for (let from = 0; from < entries; from += pieceEntries) {
    throwIfAborted('reading an index', signal);
    const count = Math.min(pieceEntries, entries - from);
    const view = await viewOf(source, documentAt(items, from), 8 * count);
    for (let at = 0; at < count; at++) {
      const first = view.getBigInt64(8 * at, true);
      if (first < last || (from + at === 0 && first !== 0n))
        throw invalid(
          source,
          `document ${from + at} begins at item ${first}; expected ${from + at === 0 ? '0' : `${last} or more`}`,
          last,
          first,
        );
      last = first;
    }
  }
  if (last !== BigInt(items))
    throw invalid(source, `its documents end at item ${last}, its items at ${items}`, items, last);
}

/** The places of the three tables. */
const sizeAt = (item: number): number => indexHeaderBytes + 4 * item;
const pointerAt = (items: number, item: number): number => indexHeaderBytes + 4 * items + 8 * item;
const documentAt = (items: number, document: number): number =>
  indexHeaderBytes + 12 * items + 8 * document;

async function viewOf(source: ByteSource, offset: number, length: number): Promise<DataView> {
  const bytes = await source.read(offset, length);
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Where a document begins and ends, in bytes of the token file. Of an index that `readTokenIndex` found good. */
export async function documentBytes(
  source: ByteSource,
  { items, tokens, type }: TokenIndex,
  document: number,
): Promise<readonly [number, number]> {
  const view = await viewOf(source, documentAt(items, document), 16);
  const begins = async (item: number) =>
    item === items
      ? tokens * tokenTypes[type].bytes
      : Number((await viewOf(source, pointerAt(items, item), 8)).getBigInt64(0, true));
  return Promise.all([
    begins(Number(view.getBigInt64(0, true))),
    begins(Number(view.getBigInt64(8, true))),
  ]);
}

export interface IndexTables {
  readonly type: TokenType;
  /** Tokens of each item. */
  readonly sizes: { readonly length: number; at(index: number): number };
  /** The first item of each document, and the number of items at its end. */
  readonly documents: { readonly length: number; at(index: number): number };
}

/** Writes an index, a piece at a time; `close` is left to the caller. */
export async function writeTokenIndex(
  sink: ByteSink,
  { type, sizes, documents }: IndexTables,
): Promise<void> {
  const { bytes, code } = tokenTypes[type];
  const header = new Uint8Array(indexHeaderBytes);
  header.set(magic);
  const view = new DataView(header.buffer);
  view.setBigUint64(magic.length, 1n, true);
  view.setUint8(magic.length + 8, code);
  view.setBigUint64(magic.length + 9, BigInt(sizes.length), true);
  view.setBigUint64(magic.length + 17, BigInt(documents.length), true);
  await sink.write(header);
  await writeTable(sink, sizes.length, 4, (piece, at, item) => {
    piece.setInt32(at, sizes.at(item), true);
  });
  let begins = 0;
  await writeTable(sink, sizes.length, 8, (piece, at, item) => {
    piece.setBigInt64(at, BigInt(begins), true);
    begins += sizes.at(item) * bytes;
  });
  await writeTable(sink, documents.length, 8, (piece, at, entry) => {
    piece.setBigInt64(at, BigInt(documents.at(entry)), true);
  });
}

async function writeTable(
  sink: ByteSink,
  entries: number,
  width: number,
  write: (piece: DataView, at: number, entry: number) => void,
): Promise<void> {
  for (let from = 0; from < entries; from += pieceEntries) {
    const count = Math.min(pieceEntries, entries - from);
    const piece = new Uint8Array(count * width);
    const view = new DataView(piece.buffer);
    for (let at = 0; at < count; at++) write(view, at * width, from + at);
    await sink.write(piece);
  }
}
