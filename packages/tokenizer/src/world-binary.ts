import { invalidVocabulary, TokenizerError } from './errors.js';
import {
  MAX_TOKEN_BYTES,
  MAX_VOCABULARY,
  TokenTableBuilder,
  type TokenTable,
} from './token-table.js';
import { END_OF_TEXT } from './world-tokenizer.js';

/**
 * The binary vocabulary, version 1; numbers are little-endian.
 *
 *   0   7  "RWKVTOK"
 *   7   1  version, 1
 *   8   4  CRC-32 (IEEE 802.3) of everything from byte 12
 *   12  4  number of tokens
 *   16  4  bytes of the payload, which ends the file
 *   20     payload: the tokens by ascending id, front-coded
 *
 * A token is a LEB128 number `shared << 1 | irregular`, then, if irregular, LEB128 `id - previous id - 1` and LEB128
 * length, then the bytes after the first `shared`, which are those of the token before. A regular token has the next
 * id and the same length as the one before. World ids ascend by length and then by bytes, so all but 68 are regular.
 */
const magic = 'RWKVTOK';
const VERSION = 1;
const HEADER = 20;

const crcTable = Int32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++)
    value = (value & 1) === 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

function crc32(bytes: Uint8Array): number {
  let value = -1;
  for (const byte of bytes) value = crcTable[(value ^ byte) & 255]! ^ (value >>> 8);
  return ~value >>> 0;
}

/** Whether the bytes start like a binary vocabulary of any version. */
export function isWorldBinary(bytes: Uint8Array): boolean {
  for (let at = 0; at < magic.length; at++) if (bytes[at] !== magic.charCodeAt(at)) return false;
  return true;
}

/** Writes the vocabulary; about a quarter of the size of the text. */
export function writeWorldBinary(table: TokenTable): Uint8Array {
  const { offsets, bytes, size } = table;
  const output: number[] = [];
  const number = (value: number): void => {
    let rest = value;
    for (; rest > 127; rest >>>= 7) output.push((rest & 127) | 128);
    output.push(rest);
  };
  let count = 0;
  let previousId = 0;
  let previous = bytes.subarray(0, 0);
  for (let id = 1; id < size; id++) {
    const token = bytes.subarray(offsets[id], offsets[id + 1]);
    if (token.length === 0) continue;
    let shared = 0;
    while (shared < token.length && shared < previous.length && token[shared] === previous[shared])
      shared++;
    const regular = id === previousId + 1 && token.length === previous.length;
    number((shared << 1) | (regular ? 0 : 1));
    if (!regular) {
      number(id - previousId - 1);
      number(token.length);
    }
    for (let at = shared; at < token.length; at++) output.push(token[at]!);
    previousId = id;
    previous = token;
    count++;
  }
  const file = new Uint8Array(HEADER + output.length);
  const view = new DataView(file.buffer);
  for (let at = 0; at < magic.length; at++) file[at] = magic.charCodeAt(at);
  file[7] = VERSION;
  view.setUint32(12, count, true);
  view.setUint32(16, output.length, true);
  file.set(output, HEADER);
  view.setUint32(8, crc32(file.subarray(12)), true);
  return file;
}

function corrupt(what: string, expected: number | string, got: number | string): TokenizerError {
  return new TokenizerError({
    code: 'VOCABULARY_CORRUPT',
    message: `binary vocabulary: expected ${what} ${expected}, got ${got}; the file was cut short or changed`,
    expected,
    got,
  });
}

/** Checks magic, version, size and checksum and gives the number of tokens. */
function readHeader(file: Uint8Array): number {
  if (file.length < HEADER) throw corrupt('at least this many bytes:', HEADER, file.length);
  if (!isWorldBinary(file)) throw corrupt('the first bytes', magic, 'others');
  if (file[7] !== VERSION)
    throw new TokenizerError({
      code: 'VERSION_UNSUPPORTED',
      message: `binary vocabulary: this package reads version ${VERSION}, got version ${file[7]!}`,
      expected: VERSION,
      got: file[7],
    });
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  const payload = view.getUint32(16, true);
  if (HEADER + payload !== file.length) throw corrupt('a length of', HEADER + payload, file.length);
  const stored = view.getUint32(8, true);
  const actual = crc32(file.subarray(12));
  if (stored !== actual) throw corrupt('the checksum', stored, actual);
  const count = view.getUint32(12, true);
  // A token takes at least two bytes of payload: how much it shares, and what it does not.
  if (count >= MAX_VOCABULARY || 2 * count > payload)
    throw corrupt(
      'a number of tokens of at most',
      Math.min(MAX_VOCABULARY - 1, payload >> 1),
      count,
    );
  return count;
}

/** Reads a payload that may have been made by anyone: every number is checked before it is used. */
class PayloadReader {
  readonly #file: Uint8Array;
  #at = HEADER;

  constructor(file: Uint8Array) {
    this.#file = file;
  }

  number(): number {
    let value = 0;
    for (let shift = 0; shift < 21; shift += 7) {
      const byte = this.#file[this.#at++];
      if (byte === undefined) throw corrupt('a payload of more than', this.#file.length, 'its end');
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
    throw corrupt('numbers of at most', '3 bytes', 'a longer one');
  }

  /** Copies the next bytes to `out[from .. to)`. */
  copy(out: Uint8Array, from: number, to: number): void {
    const start = this.#at;
    this.#at += to - from;
    if (this.#at > this.#file.length) throw corrupt('a payload up to', this.#at, this.#file.length);
    for (let index = from; index < to; index++) out[index] = this.#file[start + index - from]!;
  }

  finish(): void {
    if (this.#at !== this.#file.length)
      throw corrupt('the last token to end at', this.#file.length, this.#at);
  }
}

/** Reads a binary vocabulary. Throws `VOCABULARY_CORRUPT`, `VERSION_UNSUPPORTED` or `VOCABULARY_INVALID`. */
export function readWorldBinary(file: Uint8Array): TokenTable {
  const count = readHeader(file);
  const reader = new PayloadReader(file);
  const builder = new TokenTableBuilder();
  // Keeps the token before, of which the next one overwrites what it does not share.
  const token = new Uint8Array(MAX_TOKEN_BYTES);
  let length = 0;
  let id = 0;
  for (let index = 0; index < count; index++) {
    const head = reader.number();
    const shared = head >>> 1;
    const irregular = (head & 1) === 1;
    const previousLength = length;
    id += 1 + (irregular ? reader.number() : 0);
    if (irregular) length = reader.number();
    if (length > MAX_TOKEN_BYTES)
      throw invalidVocabulary(`token ${id}`, `at most ${MAX_TOKEN_BYTES} bytes`, length);
    if (shared > previousLength || shared > length)
      throw invalidVocabulary(
        `token ${id}`,
        `at most ${Math.min(previousLength, length)} shared bytes`,
        shared,
      );
    reader.copy(token, shared, length);
    builder.add(id, token, length, 'the payload');
  }
  reader.finish();
  return builder.build(END_OF_TEXT);
}
