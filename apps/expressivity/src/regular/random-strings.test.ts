import { expect, test } from 'vitest';
import { createAlphabet, encodeString } from './alphabet.js';
import { acceptedPrefixes, dfaOfRegex } from './dfa.js';
import { randomStrings } from './random-strings.js';

const alphabet = createAlphabet('abc');

test('accepted and rejected strings are about as many where a length has both', () => {
  // One string in 3^9 of its length is accepted.
  const dfa = dfaOfRegex('(.{10})*(abcabcabca)', alphabet);
  const strings = randomStrings(dfa, { count: 4000, longest: 100, seed: 3 });
  const targeted = strings.filter(
    (string, at) => at % 2 === 1 && string.length % 10 === 0 && string.length > 0,
  );
  const accepted = targeted.filter((string) => acceptedPrefixes(dfa, string).at(-1) === 1);
  expect(targeted.length).toBeGreaterThan(100);
  expect(accepted.length / targeted.length).toBeGreaterThan(0.4);
  expect(accepted.length / targeted.length).toBeLessThan(0.6);
});

test('a seed gives the same strings, of all lengths', () => {
  const dfa = dfaOfRegex('a*', alphabet);
  const options = { count: 500, longest: 30, seed: 5 };
  const strings = randomStrings(dfa, options);
  expect(randomStrings(dfa, options)).toEqual(strings);
  expect(randomStrings(dfa, { ...options, seed: 6 })).not.toEqual(strings);
  const lengths = strings.map(({ length }) => length);
  expect(Math.min(...lengths)).toBe(0);
  expect(Math.max(...lengths)).toBeLessThanOrEqual(30);
  expect(Math.max(...lengths)).toBeGreaterThan(25);
});

test('accepted strings of a length are equally likely', () => {
  const dfa = dfaOfRegex('ab|ba|c.', alphabet);
  const drawn = randomStrings(dfa, { count: 40_000, longest: 4, seed: 1 }).filter(
    ({ length }, at) => at % 4 === 1 && length === 2,
  );
  for (const text of ['ab', 'ba', 'ca', 'cb', 'cc']) {
    const wanted = encodeString(text, alphabet).join();
    const share = drawn.filter((string) => string.join() === wanted).length / drawn.length;
    expect(share).toBeGreaterThan(0.17);
    expect(share).toBeLessThan(0.23);
  }
});
