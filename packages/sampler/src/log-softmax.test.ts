import { expect, it } from 'vitest';
import { TestRandom, randomRow, rowKinds } from '../test/random-rows.js';
import { logSoftmaxAt } from './index.js';

it('is ln softmax to the last digits', () => {
  const random = new TestRandom(3);
  for (const kind of rowKinds) {
    const row = Float64Array.from(randomRow(random, 3000, kind));
    const maximum = Math.max(...row);
    const mass = [...row].sort((a, b) => a - b).reduce((sum, x) => sum + Math.exp(x - maximum), 0);
    for (const token of [0, 1, 999, 2999]) {
      const expected = row[token]! - maximum - Math.log(mass);
      const got = logSoftmaxAt(row, token);
      if (expected === -Infinity) expect(got).toBe(-Infinity);
      else expect(Math.abs(got - expected)).toBeLessThanOrEqual(1e-13 + 1e-15 * Math.abs(expected));
    }
  }
});

it('refuses what is no distribution or no token', () => {
  expect(logSoftmaxAt(Float32Array.of(5), 0)).toBe(0);
  expect(() => logSoftmaxAt(Float32Array.of(1, NaN), 0)).toThrow('logit 1 of 2 is NaN');
  expect(() => logSoftmaxAt(Float32Array.of(NaN), 0)).toThrow('NaN');
  expect(() => logSoftmaxAt(Float32Array.of(1, Infinity), 0)).toThrow('Infinity');
  expect(() => logSoftmaxAt(Float32Array.of(-Infinity), 0)).toThrow('all of them');
  expect(() => logSoftmaxAt(Float32Array.of(1, 2), 2)).toThrow('from 0 to 1, got 2');
  expect(() => logSoftmaxAt(new Float32Array(0), 0)).toThrow('at least 1 logit');
});
