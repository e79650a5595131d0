import type { Tokenizer } from '@rwkv-ts/tokenizer';

export interface StreamEncoderOptions {
  /** Code units that are encoded at a time. Default 64 Ki. */
  readonly pieceUnits?: number;
  /** The most that are kept where no place to cut is found: several times `pieceUnits`. Default 512 Ki. */
  readonly mostUnits?: number;
}

const utf8 = new TextEncoder();

/**
 * Turns text that comes in pieces into the tokens of the whole text, holding about a piece of it.
 *
 * A piece is encoded and cut before a single blank or line end between two words, at least the longest token before its
 * end, where the encoding has the end of a token too. What is behind the cut waits for the next piece. The tokens are then
 * exactly those of the whole text: a greedy tokenizer's tokens before that place do not depend on what comes behind it,
 * and goes on from it as if it were alone; a byte-level BPE never joins what such a place divides, nor does Unicode
 * normalisation. Only in text that for `mostUnits` has no such place (no blank and no line end between words)
 * is it cut between any two tokens, which is still exact for a greedy tokenizer.
 */
export class StreamEncoder {
  readonly #tokenizer: Tokenizer;
  readonly #longestToken: number;
  #pending = '';
  /** Length of `#pending` at which the next cut is tried. */
  #tryAt: number;
  readonly #pieceUnits: number;
  readonly #mostUnits: number;

  constructor(
    tokenizer: Tokenizer,
    { pieceUnits = 1 << 16, mostUnits = 1 << 19 }: StreamEncoderOptions = {},
  ) {
    this.#tokenizer = tokenizer;
    this.#pieceUnits = pieceUnits;
    this.#mostUnits = mostUnits;
    this.#tryAt = pieceUnits;
    this.#longestToken = longestTokenOf(tokenizer);
  }

  /** The tokens that have become certain, piece by piece. */
  *push(text: string): Generator<Uint32Array> {
    for (let from = 0; from < text.length; from += this.#pieceUnits) {
      this.#pending += text.slice(from, from + this.#pieceUnits);
      if (this.#pending.length < this.#tryAt) continue;
      const tokens = this.#cut();
      if (tokens !== undefined) yield tokens;
    }
  }

  /** The tokens of the rest. The encoder is as new afterwards. */
  flush(): Uint32Array {
    const tokens = this.#tokenizer.encode(this.#pending);
    this.#pending = '';
    this.#tryAt = this.#pieceUnits;
    return tokens;
  }

  #cut(): Uint32Array | undefined {
    const text = this.#pending;
    const isLast = text.length >= this.#mostUnits;
    const tokens = this.#tokenizer.encode(text);
    const found =
      this.#find(tokens, isWordEnd) ?? (isLast ? this.#find(tokens, isCharacterStart) : undefined);
    if (found !== undefined) {
      this.#keep(found.place);
      return tokens.subarray(0, found.count);
    }
    if (isLast) return this.#cutAnywhere();
    this.#tryAt = 2 * text.length;
    return undefined;
  }

  /** The last place in the second half of what is pending where `tokens` have the end of one, the `count`th. */
  #find(
    tokens: Uint32Array,
    isPlace: (text: string, place: number) => boolean,
  ): { readonly place: number; readonly count: number } | undefined {
    const text = this.#pending;
    let [tailBytes, tailFrom] = [0, text.length];
    // Tokens from `count` on are the last `tokenBytes` bytes.
    let [tokenBytes, count] = [0, tokens.length];
    for (let place = this.#lastPlace; place > text.length / 2; place--) {
      if (!isPlace(text, place)) continue;
      tailBytes += utf8.encode(text.slice(place, tailFrom)).length;
      tailFrom = place;
      while (tokenBytes < tailBytes && count > 0)
        tokenBytes += this.#tokenizer.tokenBytes(tokens[--count]!).length;
      if (tokenBytes !== tailBytes) continue;
      // Normalisation may have made other bytes, so that their number says nothing; nor does it further back.
      return this.#isText(tokens.subarray(count), text.slice(place)) ? { place, count } : undefined;
    }
    return undefined;
  }

  /** Behind it a token may still depend on what comes. A code unit is a byte at least. */
  get #lastPlace(): number {
    return this.#pending.length - this.#longestToken - 2;
  }

  #isText(tokens: Uint32Array, text: string): boolean {
    const [found, expected] = [this.#tokenizer.decodeBytes(tokens), utf8.encode(text)];
    return expected.every((byte, at) => byte === found[at]);
  }

  /** Where normalisation made other bytes than the text has, places cannot be found by counting them. */
  #cutAnywhere(): Uint32Array {
    const text = this.#pending;
    let place = this.#lastPlace;
    while (place > text.length / 2 && !isWordEnd(text, place)) place--;
    if (!isWordEnd(text, place)) place = this.#lastPlace;
    if (!isCharacterStart(text, place)) place--;
    this.#keep(place);
    return this.#tokenizer.encode(text.slice(0, place));
  }

  #keep(place: number): void {
    this.#pending = this.#pending.slice(place);
    this.#tryAt = this.#pending.length + this.#pieceUnits;
  }
}

/** Whether a single blank or line end stands here, between two characters that are no white space. */
function isWordEnd(text: string, place: number): boolean {
  const character = text.charAt(place);
  return (
    (character === ' ' || character === '\n') &&
    /\S/.test(text.charAt(place - 1)) &&
    /\S/.test(text.charAt(place + 1))
  );
}

function isCharacterStart(text: string, place: number): boolean {
  const unit = text.charCodeAt(place);
  return !(unit >= 0xdc00 && unit <= 0xdfff);
}

function longestTokenOf(tokenizer: Tokenizer): number {
  let longest = 1;
  for (let token = 0; token < tokenizer.vocabularySize; token++) {
    try {
      longest = Math.max(longest, tokenizer.tokenBytes(token).length);
    } catch {
      // A gap in the vocabulary, which is never encoded.
    }
  }
  return longest;
}
