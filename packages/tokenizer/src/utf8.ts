import { TokenizerError } from './errors.js';
import type { StreamDecoder } from './tokenizer.js';

// A byte order mark is text like any other here: taking it away would make decode(encode(text)) differ from text.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
const fatalDecoder = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });
const encoder = new TextEncoder();
const noBytes = new Uint8Array(0);

/** The longest string V8 makes is 2^29 - 24 characters; other engines allow more. Each byte gives at most one. */
export const MAX_TEXT_BYTES = 2 ** 29 - 24;

/** Throws `TEXT_TOO_LONG` for more bytes of text than fit one string. */
export function checkTextLength(bytes: number): void {
  if (bytes <= MAX_TEXT_BYTES) return;
  throw new TokenizerError({
    code: 'TEXT_TOO_LONG',
    message: `the tokens hold ${bytes} bytes of text; one string holds at most ${MAX_TEXT_BYTES}: use decodeBytes, or decode in parts`,
    expected: MAX_TEXT_BYTES,
    got: bytes,
  });
}

/** Bytes to text as the WHATWG decoder does it: each maximal invalid part becomes one U+FFFD. */
export function decodeText(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** Bytes to text, or undefined if they are not valid UTF-8. */
export function decodeStrict(bytes: Uint8Array): string | undefined {
  try {
    return fatalDecoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Text to UTF-8; lone surrogates become U+FFFD. */
export function encodeText(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Writes the text's UTF-8 to `out`, which needs three bytes per code unit, and gives its length. */
export function encodeInto(text: string, out: Uint8Array): number {
  return encoder.encodeInto(text, out).written;
}

/** How many bytes a sequence with this first byte has; 0 for a byte that starts none of several bytes. */
function sequenceLength(lead: number): number {
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
}

/** Whether `second` may follow `lead`: no overlong forms, no surrogates, nothing above U+10FFFF (Unicode table 3-7). */
function secondFits(lead: number, second: number): boolean {
  const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  return second >= low && second <= high;
}

/**
 * How many bytes at the end are the valid beginning of a character that is still incomplete (0 to 3). Cutting there
 * changes nothing: a first byte always finds the decoder between two characters, whatever came before it.
 */
export function incompleteTail(bytes: Uint8Array): number {
  const end = bytes.length;
  for (let held = 1; held <= 3 && held <= end; held++) {
    const lead = bytes[end - held]!;
    if ((lead & 0xc0) === 0x80) continue;
    if (sequenceLength(lead) <= held) return 0;
    return held === 1 || secondFits(lead, bytes[end - held + 1]!) ? held : 0;
  }
  return 0;
}

/** The stream decoder of every tokenizer: holds back an incomplete last character, nothing else. */
export class Utf8StreamDecoder implements StreamDecoder {
  readonly #tokenBytes: (token: number) => Uint8Array;
  #held: Uint8Array;

  constructor(tokenBytes: (token: number) => Uint8Array, held: Uint8Array = noBytes) {
    this.#tokenBytes = tokenBytes;
    this.#held = held;
  }

  push(token: number): string {
    const fresh = this.#tokenBytes(token);
    if (fresh.length === 0) return '';
    let bytes = fresh;
    if (this.#held.length > 0) {
      bytes = new Uint8Array(this.#held.length + fresh.length);
      bytes.set(this.#held);
      bytes.set(fresh, this.#held.length);
    }
    const complete = bytes.length - incompleteTail(bytes);
    this.#held = complete === bytes.length ? noBytes : bytes.slice(complete);
    return complete === 0 ? '' : decoder.decode(bytes.subarray(0, complete));
  }

  flush(): string {
    const rest = this.#held;
    this.#held = noBytes;
    return rest.length === 0 ? '' : decoder.decode(rest);
  }

  clone(): StreamDecoder {
    // The held bytes are never written to, so both copies may keep the same ones.
    return new Utf8StreamDecoder(this.#tokenBytes, this.#held);
  }
}
