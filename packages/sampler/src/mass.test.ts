import { describe, expect, it } from 'vitest';
import { TestRandom } from '../test/random-rows.js';
import { exponentialTable } from './exponential.js';
import { blockSize, referenceFor, rowSummer, sumCarefully } from './mass.js';

function total(row: Float64Array, reference: number): number {
  const summer = rowSummer();
  summer.row.set(row);
  return summer.sumBlocks(row.length, reference);
}

describe('the mass of a row', () => {
  it('is within 3.3e-10 of exact for every single logit', () => {
    for (let step = 0; step < 20000; step++) {
      const row = new Float64Array(64).fill(-(step * 0.0031));
      const exact = 64 * Math.exp(row[0]!);
      expect(Math.abs(total(row, 0) / exact - 1)).toBeLessThan(3.3e-10);
    }
  });

  it('is the sum, for rows of every length', () => {
    const random = new TestRandom(4);
    for (const length of [1, 2, 63, 64, 65, 128, 1000]) {
      const row = Float64Array.from({ length }, () => 20 - 12 * Math.abs(random.normal()));
      const exact = row.reduce((sum, logit) => sum + Math.exp(logit - 32), 0);
      const sum = total(row, 32);
      const sums = rowSummer().sums.subarray(0, Math.ceil(length / blockSize));
      expect(sum / exact).toBeCloseTo(1, 9);
      expect(sums.reduce((a, b) => a + b) / sum).toBeCloseTo(1, 14);
    }
  });

  it('notices every logit the quick loop cannot take, anywhere in a block', () => {
    const base = new Float64Array(192).fill(-3);
    const rest = 191 * Math.exp(-3);
    for (const at of [0, 63, 64, 77, 130, 191]) {
      const withLogit = (logit: number): number => {
        const row = base.slice();
        row[at] = logit;
        return total(row, 0);
      };
      // Index out of the table; index wrapping at 2^31 and at multiples of 2^32; infinities.
      const wrapping = [2 ** 15, 2 ** 16, 2 ** 31, 2 ** 32, 2 ** 32 + 700, 2 ** 40, 2 ** 70].map(
        (t) => -t / 256,
      );
      for (const low of [-129, -4000, ...wrapping, -1e300, -Infinity]) {
        expect(withLogit(low) / rest, `${low} at ${at}`).toBeCloseTo(1, 9);
      }
      for (const high of [0.01, 1, 500, 49151, 49152, 2 ** 23, 2 ** 24, 2 ** 62, 1e300, Infinity]) {
        expect(withLogit(high), `${high} at ${at}`).toBe(Infinity);
      }
      expect(withLogit(NaN)).toBeNaN();
    }
    // Two that would cancel in a plain check sum.
    const pair = base.slice();
    pair[3] = 2 ** 24;
    pair[5] = -(2 ** 24);
    expect(total(pair, 0)).toBe(Infinity);
  });

  it('is right for references of every size', () => {
    for (const reference of [0, -64, 2 ** 20, 2 ** 40, -(2 ** 45), 2 ** 60, 2 ** 90, 2 ** 127]) {
      const row = new Float64Array(128).fill(reference).fill(-Infinity, 100);
      expect(total(row, reference) / 100, `${reference}`).toBeCloseTo(1, 9);
    }
  });

  it('takes a temperature in the careful sum', () => {
    const row = Float64Array.of(0, -1, -5, -Infinity);
    const sum = sumCarefully(row, 0, 4, 0, 1 / 1.7, exponentialTable());
    const exact = 1 + Math.exp(-1 / 1.7) + Math.exp(-5 / 1.7);
    expect(sum).toBeCloseTo(exact, 9);
  });

  it('references are the next multiple of 32', () => {
    expect([0.1, 32, 32.5, -40, 5e-324].map(referenceFor)).toEqual([32, 32, 64, -32, 32]);
  });
});
