/** Seeded random numbers: the same on every machine, so that a failing case can be repeated. */

/** One random number per call; how a weight or an input is distributed. */
export type Draw = (random: Random) => number;

/** Normal with mean 0. */
export const normal =
  (deviation = 1): Draw =>
  (random) =>
    deviation * random.normal();

/** Uniform in [low, high). */
export const uniform =
  (low: number, high: number): Draw =>
  (random) =>
    low + (high - low) * random.uniform();

/** The SplitMix32 generator: 32 bits of state, every seed as good as any other. Not for secrets. */
export class Random {
  #state: number;

  /** `stream` separates the numbers of, say, two weights under one seed. */
  constructor(seed: number, stream = '') {
    this.#state = seed | 0;
    for (const character of stream) {
      this.#state = (this.#state ^ (character.codePointAt(0) ?? 0)) | 0;
      this.#state = this.#next();
    }
  }

  #next(): number {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    let mixed = this.#state ^ (this.#state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return mixed ^ (mixed >>> 15);
  }

  /** In [0, 1). */
  uniform(): number {
    return (this.#next() >>> 0) / 2 ** 32;
  }

  /** From 0 to `end` - 1. */
  integer(end: number): number {
    return Math.floor(this.uniform() * end);
  }

  /** Mean 0, deviation 1 (Box and Muller's transform). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  fill(count: number, draw: Draw): Float32Array {
    return Float32Array.from({ length: count }, () => draw(this));
  }
}
