import { describe, expect, it } from 'vitest';
import { magicPrime } from '@rwkv-ts/train';

/** By the sieve of Eratosthenes, which shares nothing with trial division. */
function primesBelow(limit: number): Set<number> {
  const composite = new Uint8Array(limit);
  const primes = new Set<number>();
  for (let value = 2; value < limit; value++) {
    if (composite[value]) continue;
    primes.add(value);
    for (let multiple = value * value; multiple < limit; multiple += value) composite[multiple] = 1;
  }
  return primes;
}

describe('magicPrime', () => {
  it('is the largest prime of the form 3n + 2 below the number of slots', () => {
    const primes = [...primesBelow(3000)].filter((prime) => prime % 3 === 2);
    for (let slots = 0; slots < 3000; slots++)
      expect(magicPrime(slots)).toBe(primes.findLast((prime) => prime < slots));
  });

  it('agrees with the numbers that RWKV-LM publishes for its own data', () => {
    // minipile: 1498226207 tokens of context 512; the Pile: 332115325534 tokens of context 4096 (its README and scripts).
    expect(magicPrime(Math.floor(1498226207 / 512))).toBe(2926181);
    expect(magicPrime(Math.floor(332115325534 / 4096))).toBe(81082817);
  });

  it('refuses what is no count', () => {
    for (const slots of [-1, 1.5, Number.NaN, 2 ** 53])
      expect(() => magicPrime(slots)).toThrow(TypeError);
  });
});
