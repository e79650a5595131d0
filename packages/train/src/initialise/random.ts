import { RandomStream, seedState } from '@rwkv-ts/sampler';
import { logarithm } from './elementary.js';

/**
 * Random numbers for one purpose: the generator of `@rwkv-ts/sampler` (xoshiro128**), seeded with the caller's seed
 * exclusive-or the 64-bit FNV-1a hash of the purpose's name. So each weight has numbers of its own, whatever others there
 * are and in whatever order they are made. The state of `stream` is plain JSON.
 */
export class NamedRandom {
  readonly stream: RandomStream;
  #spare: number | undefined;

  constructor(seed: number, name: string) {
    this.stream = new RandomStream(seedState(BigInt(seed) ^ hashOf(name)));
  }

  /** In [low, high). */
  uniform(low: number, high: number): number {
    return low + (high - low) * this.stream.nextUniform();
  }

  /** Mean 0, deviation 1: Marsaglia and Bray's polar method, which gives two at a time. */
  normal(): number {
    if (this.#spare !== undefined) {
      const spare = this.#spare;
      this.#spare = undefined;
      return spare;
    }
    for (;;) {
      const x = this.uniform(-1, 1);
      const y = this.uniform(-1, 1);
      const square = x * x + y * y;
      if (square >= 1 || square < 1e-300) continue;
      const factor = Math.sqrt((-2 * logarithm(square)) / square);
      this.#spare = y * factor;
      return x * factor;
    }
  }
}

function hashOf(name: string): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(name)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return hash;
}
