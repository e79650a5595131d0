import { describe, expect, it } from 'vitest';
import { RandomStream, seedState, type RandomState } from './random.js';

/** The published definition in 64-bit integers, term by term: xoshiro128** 1.1, output then state update. */
function* published([a, b, c, d]: RandomState): Generator<number> {
  const mask = 0xffffffffn;
  const rotate = (x: bigint, k: bigint): bigint => ((x << k) | (x >> (32n - k))) & mask;
  const s = [a, b, c, d].map(BigInt) as [bigint, bigint, bigint, bigint];
  for (;;) {
    yield Number((rotate((s[1] * 5n) & mask, 7n) * 9n) & mask);
    const t = (s[1] << 9n) & mask;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 11n);
  }
}

describe('xoshiro128**', () => {
  it('gives the first outputs of its definition for the state 1, 2, 3, 4', () => {
    const stream = new RandomStream([1, 2, 3, 4]);
    const words = Array.from({ length: 5 }, () => stream.nextWord());
    // By hand: rotl(2 * 5, 7) * 9 = 11520; then s[1] = 2 ^ 3 ^ 1 = 0.
    expect(words).toEqual([11520, 0, 5927040, 70819200, 2031721883]);
  });

  it('follows the definition from any state', () => {
    for (const seed of [0n, 1n, -1n, 123456789012345678n]) {
      const state = seedState(seed);
      const stream = new RandomStream(state);
      const words = published(state);
      for (let draw = 0; draw < 500; draw++) expect(stream.nextWord()).toBe(words.next().value);
    }
  });

  it('starts from SplitMix64: the first two outputs for the seed 1234567', () => {
    const [a, b, c, d] = seedState(1234567n).map(BigInt);
    expect((b! << 32n) | a!).toBe(6457827717110365317n);
    expect((d! << 32n) | c!).toBe(3203168211198807973n);
  });

  it('makes uniforms of 53 bits from two words', () => {
    const state = seedState(9n);
    const words = published(state);
    const stream = new RandomStream(state);
    for (let draw = 0; draw < 200; draw++) {
      const high = BigInt(words.next().value as number) >> 5n;
      const low = BigInt(words.next().value as number) >> 6n;
      expect(BigInt(stream.nextUniform() * 2 ** 53)).toBe((high << 26n) | low);
    }
  });

  it('goes on from a saved state', () => {
    const stream = new RandomStream(seedState(5n));
    stream.nextWord();
    const copy = new RandomStream(stream.state);
    expect([copy.nextUniform(), copy.nextWord()]).toEqual([
      stream.nextUniform(),
      stream.nextWord(),
    ]);
  });
});
