/** Random strings to check a recogniser with. */
import type { Dfa } from './dfa.js';

/** Uniform in [0, 1). */
export type Random = () => number;

/** A generator with 32 bits of state (mulberry32), so that a seed gives the same strings everywhere. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface RandomStringsOptions {
  readonly count: number;
  readonly longest: number;
  readonly seed: number;
}

/**
 * `count` strings of at most `longest` letters, the logarithms of their lengths (and 1) uniform. Half are uniform; a quarter are
 * uniform among the accepted strings of their length, and a quarter are such with one letter changed, or, where that is
 * accepted too, uniform among the rejected. Where no string of a length will do, the string is uniform.
 */
export function randomStrings(
  dfa: Dfa,
  { count, longest, seed }: RandomStringsOptions,
): Uint32Array[] {
  const random = createRandom(seed);
  const accepted = new StringSampler(dfa, { isAccepted: true, longest });
  const rejected = new StringSampler(dfa, { isAccepted: false, longest });
  const uniform = (length: number) =>
    Uint32Array.from({ length }, () => below(dfa.letters, random));
  return Array.from({ length: count }, (_, index) => {
    const length = Math.floor((longest + 1) ** random()) - 1;
    if (index % 2 === 0) return uniform(length);
    const string = accepted.sample(length, random) ?? uniform(length);
    if (index % 4 === 1 || length === 0) return string;
    string[below(length, random)] = below(dfa.letters, random);
    return isAccepted(dfa, string) ? (rejected.sample(length, random) ?? string) : string;
  });
}

const below = (limit: number, random: Random): number => Math.floor(random() * limit);

function isAccepted({ moves, letters, accepting }: Dfa, string: Uint32Array): boolean {
  return accepting[string.reduce((state, letter) => moves[state * letters + letter]!, 0)]!;
}

/** Draws strings uniformly among those of a length that are accepted, or rejected. */
class StringSampler {
  readonly #dfa: Dfa;
  /**
   * [longest + 1, states]: how many strings of a length lead from a state to where they should, each row divided by its
   * largest number.
   */
  readonly #counts: Float64Array[];

  constructor(
    dfa: Dfa,
    { isAccepted, longest }: { readonly isAccepted: boolean; readonly longest: number },
  ) {
    this.#dfa = dfa;
    let counts = Float64Array.from(dfa.accepting, (accepts) => Number(accepts === isAccepted));
    this.#counts = [counts];
    for (let length = 1; length <= longest; length++) {
      const shorter = counts;
      counts = shorter.map((_, state) => {
        let sum = 0;
        for (let letter = 0; letter < dfa.letters; letter++)
          sum += shorter[this.#next(state, letter)]!;
        return sum;
      });
      const largest = Math.max(...counts, Number.MIN_VALUE);
      counts = counts.map((each) => each / largest);
      this.#counts.push(counts);
    }
  }

  /** Undefined where there is none. */
  sample(length: number, random: Random): Uint32Array | undefined {
    if (this.#counts[length]![0] === 0) return undefined;
    let state = 0;
    return Uint32Array.from({ length }, (_, at) => {
      const counts = this.#counts[length - at - 1]!;
      const weights = Array.from(
        { length: this.#dfa.letters },
        (_, letter) => counts[this.#next(state, letter)]!,
      );
      let left = random() * weights.reduce((sum, weight) => sum + weight, 0);
      // Rounding may leave a little after the last letter that can be.
      let chosen = weights.findLastIndex((weight) => weight > 0);
      for (const [letter, weight] of weights.entries()) {
        left -= weight;
        if (weight > 0 && left < 0) {
          chosen = letter;
          break;
        }
      }
      state = this.#next(state, chosen);
      return chosen;
    });
  }

  #next(state: number, letter: number): number {
    return this.#dfa.moves[state * this.#dfa.letters + letter]!;
  }
}
