/**
 * For tests: a made-up World vocabulary, a way to write any vocabulary as Python would, a slow matcher to compare with,
 * and where the golden vectors are.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const encoder = new TextEncoder();
const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Multi-byte tokens chosen to overlap: prefixes of each other, dead ends that force going back, broken UTF-8. */
const madeUpWords = [
  ' ',
  '  ',
  '    ',
  '        ',
  '\n\n',
  '\r\n',
  '\t\t',
  "'",
  '"',
  '\\',
  "\\'",
  ' the',
  'the',
  'then',
  'there',
  'a',
  'ab',
  'abc',
  'abcdefgh',
  'bcd',
  'bcdefghi',
  'bcdefghij',
  'jklmnopqrst',
  'aaaa',
  'aaaaaaaaaaaaaaaa',
  '=====',
  'é',
  'éé',
  'ß',
  '你',
  '你好',
  '好吗',
  '世界',
  'й',
  'привет',
  '🙂',
  '🙂🙂',
  '👨‍👩‍👧',
  'function',
  'func',
  'tion ',
  'a b',
  'b a',
  '. ',
  ', ',
  '-'.repeat(40),
  ' '.repeat(128),
  '\u0000\u0000',
  '\u007f',
  '\u0085',
  '\u00a0x',
  '\u2028',
  '\ufeff',
  '\ufffd',
].filter((word) => word.length > 1 || encoder.encode(word).length > 1);
const brokenUtf8 = [
  [0xe4, 0xbd],
  [0xf0, 0x9f],
  [0xbd, 0xa0, 0xe5],
  [0xff, 0xfe],
  [0x80, 0x80, 0x80],
  [0xc3, 0x41],
];

/** Tokens by ascending length and bytes, as in the World vocabulary; the token at index i has id i + 1. */
export function madeUpTokens(): Uint8Array[] {
  const tokens = Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte));
  for (const word of madeUpWords) tokens.push(encoder.encode(word));
  for (const bytes of brokenUtf8) tokens.push(Uint8Array.from(bytes));
  return tokens.sort((left, right) => left.length - right.length || Buffer.compare(left, right));
}

/** `repr()` of a str or bytes object. */
export function pythonRepr(value: string | Uint8Array): string {
  const isText = typeof value === 'string';
  const characters = isText
    ? Array.from(value)
    : Array.from(value, (byte) => String.fromCharCode(byte));
  const quote = characters.includes("'") && !characters.includes('"') ? '"' : "'";
  const body = characters.map((character) => {
    if (character === '\\' || character === quote) return `\\${character}`;
    if (character === '\n') return '\\n';
    if (character === '\r') return '\\r';
    if (character === '\t') return '\\t';
    const code = character.codePointAt(0)!;
    const printable = isText
      ? !/[\p{C}\p{Z}]/u.test(character) || code === 0x20
      : code >= 0x20 && code < 0x7f;
    if (printable) return character;
    if (code < 0x100) return `\\x${code.toString(16).padStart(2, '0')}`;
    return code < 0x10000
      ? `\\u${code.toString(16).padStart(4, '0')}`
      : `\\U${code.toString(16).padStart(8, '0')}`;
  });
  return `${isText ? '' : 'b'}${quote}${body.join('')}${quote}`;
}

/** The vocabulary as lines `id repr length`; a token that is UTF-8 is written as str. */
export function vocabularyText(tokens: readonly Uint8Array[]): string {
  return tokens
    .map((token, index) => {
      let value: string | Uint8Array = token;
      try {
        value = strictDecoder.decode(token);
      } catch {
        // Not text: stays bytes.
      }
      return `${index + 1} ${pythonRepr(value)} ${token.length}\n`;
    })
    .join('');
}

/** The vocabulary as a GGUF file holds it: `repr(bytes)[2:-1]`, a control token first, padding last. */
export function vocabularyGguf(tokens: readonly Uint8Array[], size: number): string[] {
  const strings = ['<s>', ...tokens.map((token) => pythonRepr(token).slice(2, -1))];
  while (strings.length < size) strings.push(`[PAD${strings.length}]`);
  return strings;
}

/** Greedy longest match the obvious way: the longest slice of the input that is a token. */
export class SlowMatcher {
  readonly #ids = new Map<string, number>();
  /** The lengths of the tokens that begin with a character, longest first. */
  readonly #lengths = new Map<string, number[]>();

  constructor(tokens: readonly Uint8Array[]) {
    tokens.forEach((token, index) => {
      const key = Buffer.from(token).toString('latin1');
      this.#ids.set(key, index + 1);
      const lengths = this.#lengths.get(key[0]!) ?? [];
      if (!lengths.includes(key.length)) lengths.push(key.length);
      this.#lengths.set(key[0]!, lengths);
    });
    for (const lengths of this.#lengths.values()) lengths.sort((left, right) => right - left);
  }

  encode(bytes: Uint8Array): number[] {
    const text = Buffer.from(bytes).toString('latin1');
    const ids: number[] = [];
    for (let at = 0; at < text.length;) {
      const lengths = this.#lengths.get(text[at]!)!;
      const length = lengths.find((candidate) => this.#ids.has(text.slice(at, at + candidate)))!;
      ids.push(this.#ids.get(text.slice(at, at + length))!);
      at += length;
    }
    return ids;
  }
}

/** Where two sequences first differ, -1 if nowhere; `toEqual` takes seconds on long ones. */
export function firstDifference(left: ArrayLike<number>, right: ArrayLike<number>): number {
  for (let at = 0; at < Math.max(left.length, right.length); at++)
    if (left[at] !== right[at]) return at;
  return -1;
}

const repositoryGolden = fileURLToPath(new URL('../../../../shared/golden', import.meta.url));
export const goldenFolder = `${process.env['RWKV_GOLDEN'] ?? repositoryGolden}/tokenizer`;
export const hasGolden = existsSync(`${goldenFolder}/manifest.json`);
/** For titles of skipped tests. */
export const goldenNote = hasGolden ? '' : ` (golden vectors not found at ${goldenFolder})`;
export const goldenVocabulary = `${goldenFolder}/rwkv_vocab_v20230424.txt`;
