/**
 * xoshiro128** 1.1 (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021, section 5), seeded by
 * SplitMix64 as its authors advise. Only 32-bit integer operations, so every platform gives the same bits.
 */

/** The four 32-bit words of the generator, as unsigned numbers. */
export type RandomState = readonly [number, number, number, number];

const mask64 = (1n << 64n) - 1n;

/** The state for a 64-bit seed: two SplitMix64 outputs, low word first. Negative seeds count modulo 2^64. */
export function seedState(seed: bigint): RandomState {
  let counter = BigInt.asUintN(64, seed);
  const next = (): readonly [number, number] => {
    counter = (counter + 0x9e3779b97f4a7c15n) & mask64;
    let mixed = counter;
    mixed = ((mixed ^ (mixed >> 30n)) * 0xbf58476d1ce4e5b9n) & mask64;
    mixed = ((mixed ^ (mixed >> 27n)) * 0x94d049bb133111ebn) & mask64;
    mixed ^= mixed >> 31n;
    return [Number(mixed & 0xffffffffn), Number(mixed >> 32n)];
  };
  return [...next(), ...next()];
}

function rotateLeft(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}

export class RandomStream {
  readonly #words = new Int32Array(4);

  constructor(state: RandomState) {
    this.#words.set(state.map((word) => word | 0));
  }

  get state(): RandomState {
    const [a, b, c, d] = new Uint32Array(this.#words.buffer);
    return [a!, b!, c!, d!];
  }

  set state(state: RandomState) {
    this.#words.set(state.map((word) => word | 0));
  }

  /** The next 32 bits, from 0 to 2^32 - 1. */
  nextWord(): number {
    const words = this.#words;
    const second = words[1]!;
    const result = Math.imul(rotateLeft(Math.imul(second, 5), 7), 9);
    words[2]! ^= words[0]!;
    words[3]! ^= second;
    words[1]! ^= words[2]!;
    words[0]! ^= words[3]!;
    words[2]! ^= second << 9;
    words[3] = rotateLeft(words[3]!, 11);
    return result >>> 0;
  }

  /** The next uniform in [0, 1): a multiple of 2^-53 from the top 27 bits of one word and the top 26 of the next. */
  nextUniform(): number {
    const high = this.nextWord() >>> 5;
    const low = this.nextWord() >>> 6;
    return (high * 0x4000000 + low) / 0x20000000000000;
  }
}
