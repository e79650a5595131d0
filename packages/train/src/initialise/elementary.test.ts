import { expect, test } from 'vitest';
import { exponential, logarithm, power } from './elementary.js';

/** In units of the last place, roughly. */
const error = (got: number, expected: number): number =>
  Math.abs(got - expected) / (2 ** -52 * Math.max(Math.abs(expected), 1e-300));

test('logarithm, from tiny to large and around 1', () => {
  for (let exponent = -300; exponent <= 300; exponent += 7) {
    for (const factor of [1, 1.1, 1.41421356, 1.5, 1.99]) {
      const x = factor * 10 ** exponent;
      expect(error(logarithm(x), Math.log(x)), String(x)).toBeLessThan(4);
    }
  }
  expect(logarithm(1)).toBe(0);
  expect(error(logarithm(1 + 2 ** -20), Math.log1p(2 ** -20))).toBeLessThan(4);
});

test('exponential', () => {
  for (let x = -40; x <= 40; x += 0.37) {
    expect(error(exponential(x), Math.exp(x)), String(x)).toBeLessThan(4);
  }
  expect(exponential(0)).toBe(1);
});

test('power', () => {
  for (const base of [1e-3, 0.1, 0.5, 0.999, 1, 2]) {
    for (const exponent of [0.2, 0.7, 1, 2, 3.5]) {
      expect(error(power(base, exponent), base ** exponent)).toBeLessThan(20);
    }
  }
  expect([power(0, 0.3), power(0, 0), power(5, 0)]).toEqual([0, 1, 1]);
});
