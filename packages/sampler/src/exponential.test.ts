import { describe, expect, it } from 'vitest';
import {
  exponential,
  exponentialOfMinus,
  exponentialTable,
  naturalLogarithm,
  stepsPerNat,
  tableSize,
} from './exponential.js';

const near = (got: number, expected: number, units: number): void => {
  const room = units * Math.max(Math.abs(expected) * 2 ** -52, 5e-324);
  expect(Math.abs(got - expected), `${got} for ${expected}`).toBeLessThanOrEqual(room);
};

describe('exp and ln from arithmetic', () => {
  it('agree with the platform within a few units in the last place', () => {
    for (let step = -3000; step <= 2800; step++) {
      const x = step / 4 + step * 1e-5;
      if (x < 709 && x > -708) near(exponential(x), Math.exp(x), 3);
      if (x <= 0 && x > -708) near(exponentialOfMinus(-x, exponentialTable()), Math.exp(x), 4);
      if (x < 709 && x > -708) near(naturalLogarithm(Math.exp(x)), Math.log(Math.exp(x)), 3);
    }
    for (let step = 1; step < 4000; step++) {
      near(naturalLogarithm(step / 997), Math.log(step / 997), 3);
      near(exponential(-step / 1e5), Math.exp(-step / 1e5), 3);
      near(exponentialOfMinus(step / 1e3, exponentialTable()), Math.exp(-step / 1e3), 4);
    }
  });

  it('are right at the ends', () => {
    expect(exponential(0)).toBe(1);
    expect([exponential(-Infinity), exponential(Infinity)]).toEqual([0, Infinity]);
    expect([exponential(-800), exponential(800)]).toEqual([0, Infinity]);
    expect(exponential(NaN)).toBeNaN();
    near(exponential(-740), Math.exp(-740), 2);
    near(exponential(709.7), Math.exp(709.7), 3);
    expect(exponentialOfMinus(0, exponentialTable())).toBe(1);
    expect(exponentialOfMinus(Infinity, exponentialTable())).toBe(0);
    expect([naturalLogarithm(1), naturalLogarithm(0)]).toEqual([0, -Infinity]);
    expect(naturalLogarithm(Infinity)).toBe(Infinity);
    expect(naturalLogarithm(-1)).toBeNaN();
    near(naturalLogarithm(5e-324), Math.log(5e-324), 2);
  });

  it('the table spans what its mask spans', () => {
    expect(exponentialTable()).toHaveLength(tableSize);
    expect(tableSize & (tableSize - 1)).toBe(0);
    expect(stepsPerNat).toBe(256);
    expect(tableSize - 1).toBe(32767); // the literal mask of the summing loop
  });
});
