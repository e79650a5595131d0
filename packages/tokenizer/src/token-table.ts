import { invalidVocabulary, TokenizerError } from './errors.js';
import { checkTextLength, decodeText, incompleteTail } from './utf8.js';

/** Ids are kept in 16 bits, as the World models' vocabulary of 65536 needs. */
export const MAX_VOCABULARY = 65536;
/** The longest World token has 128 bytes. */
export const MAX_TOKEN_BYTES = 1024;
/** Bytes after the last token, so that two words can always be read where a token begins. */
const SLACK = 8;
/** Bytes decoded at a time. */
const PIECE = 65536;

/**
 * The bytes of every token, by id: token `id` is `bytes[offsets[id] .. offsets[id + 1])`. An empty token is a gap,
 * except `endOfText`.
 */
export interface TokenTable {
  /** The largest id plus one. */
  readonly size: number;
  readonly endOfText: number | undefined;
  /** [size + 1] */
  readonly offsets: Uint32Array;
  /** All tokens, and 8 bytes of slack. */
  readonly bytes: Uint8Array;
}

/** Collects tokens in any order, checks ids and lengths, and lays them out by id. */
export class TokenTableBuilder {
  // In the order of arrival, in one array: an object per token would cost most of the time of loading.
  #arrived = new Uint8Array(1 << 16);
  #filled = 0;
  readonly #starts = new Uint32Array(MAX_VOCABULARY);
  readonly #lengths = new Uint16Array(MAX_VOCABULARY);
  #size = 0;

  /** Adds token `bytes[0 .. length)`, which is copied. `where` names the place in the file, for the error. */
  add(id: number, bytes: Uint8Array, length: number, where: string): void {
    if (!Number.isInteger(id) || id < 0 || id >= MAX_VOCABULARY)
      throw invalidVocabulary(where, `an id from 0 to ${MAX_VOCABULARY - 1}`, id);
    if (length === 0 || length > MAX_TOKEN_BYTES)
      throw invalidVocabulary(where, `a token of 1 to ${MAX_TOKEN_BYTES} bytes`, length);
    if (this.#lengths[id] !== 0)
      throw invalidVocabulary(where, 'each id once', `id ${id} a second time`);
    if (this.#filled + length > this.#arrived.length) {
      const larger = new Uint8Array(2 * this.#arrived.length);
      larger.set(this.#arrived);
      this.#arrived = larger;
    }
    for (let index = 0; index < length; index++)
      this.#arrived[this.#filled + index] = bytes[index]!;
    this.#starts[id] = this.#filled;
    this.#lengths[id] = length;
    this.#filled += length;
    if (id >= this.#size) this.#size = id + 1;
  }

  build(endOfText: number | undefined): TokenTable {
    const size = this.#size;
    const offsets = new Uint32Array(size + 1);
    const bytes = new Uint8Array(this.#filled + SLACK);
    let at = 0;
    for (let id = 0; id < size; id++) {
      const start = this.#starts[id]!;
      const end = start + this.#lengths[id]!;
      for (let from = start; from < end; from++) bytes[at++] = this.#arrived[from]!;
      offsets[id + 1] = at;
    }
    return { size, endOfText, offsets, bytes };
  }
}

function unknownToken(table: TokenTable, token: unknown, position?: number): TokenizerError {
  const place = position === undefined ? '' : ` at position ${position}`;
  return new TokenizerError({
    code: 'UNKNOWN_TOKEN',
    message: `token ${String(token)}${place} is not in the vocabulary, whose ids run from 0 to ${table.size - 1}`,
    expected: table.size - 1,
    got: token,
  });
}

/** The bytes of one token, as a copy. */
export function bytesOf(table: TokenTable, token: number): Uint8Array {
  const start = table.offsets[token];
  const end = table.offsets[token + 1];
  if (start === undefined || end === undefined || (start === end && token !== table.endOfText))
    throw unknownToken(table, token);
  return table.bytes.slice(start, end);
}

/** Throws `UNKNOWN_TOKEN` for the first id without an entry; otherwise the number of bytes the tokens hold. */
function totalBytes(table: TokenTable, tokens: ArrayLike<number>): number {
  const { offsets, endOfText } = table;
  let total = 0;
  for (let position = 0; position < tokens.length; position++) {
    const token = tokens[position]!;
    const length = offsets[token + 1]! - offsets[token]!;
    // Also catches ids that are no index at all: their length is NaN.
    if (!(length > 0) && token !== endOfText) throw unknownToken(table, token, position);
    total += length;
  }
  return total;
}

/**
 * Copies known tokens to `out` until they run out or fewer than `MAX_TOKEN_BYTES` would fit; both `out` and the table
 * have 8 bytes more than they need, so that a token of at most 8 bytes is two word copies instead of a loop.
 */
function copyTokens(
  table: TokenTable,
  tokens: ArrayLike<number>,
  from: number,
  out: Uint8Array,
): { next: number; length: number } {
  const { offsets, bytes } = table;
  const source = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const target = new DataView(out.buffer, out.byteOffset, out.byteLength);
  const room = out.length - SLACK - MAX_TOKEN_BYTES;
  let at = 0;
  let next = from;
  for (; next < tokens.length && at <= room; next++) {
    const token = tokens[next]!;
    const start = offsets[token]!;
    const length = offsets[token + 1]! - start;
    if (length <= 8) {
      target.setInt32(at, source.getInt32(start));
      target.setInt32(at + 4, source.getInt32(start + 4));
    } else {
      for (let index = 0; index < length; index++) out[at + index] = bytes[start + index]!;
    }
    at += length;
  }
  return { next, length: at };
}

/** The bytes of all tokens, joined. */
export function joinTokens(table: TokenTable, tokens: ArrayLike<number>): Uint8Array {
  const joined = new Uint8Array(totalBytes(table, tokens));
  const piece = new Uint8Array(Math.min(PIECE, joined.length + MAX_TOKEN_BYTES + SLACK));
  let filled = 0;
  for (let from = 0; from < tokens.length;) {
    const { next, length } = copyTokens(table, tokens, from, piece);
    joined.set(piece.subarray(0, length), filled);
    filled += length;
    from = next;
  }
  return joined;
}

/**
 * The text of all tokens. Decoded a piece at a time, cut only between characters: quicker than whole, as everything
 * stays in the cache, and the bytes never exist all at once.
 */
export function textOf(table: TokenTable, tokens: ArrayLike<number>): string {
  const total = totalBytes(table, tokens);
  checkTextLength(total);
  const piece = new Uint8Array(Math.min(PIECE, total + MAX_TOKEN_BYTES + SLACK) + 3);
  let held = 0;
  let text = '';
  for (let from = 0; from < tokens.length;) {
    const { next, length } = copyTokens(table, tokens, from, piece.subarray(held));
    const end = held + length;
    held = next < tokens.length ? incompleteTail(piece.subarray(0, end)) : 0;
    text += decodeText(piece.subarray(0, end - held));
    piece.copyWithin(0, end - held, end);
    from = next;
  }
  return text;
}
