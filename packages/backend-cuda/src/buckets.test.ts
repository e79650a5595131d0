import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bucketFor, rowSizes, tokenSizes } from './buckets.js';

const kinds = ['tokens', 'wanted', 'sequences'] as const;
const someLimits = fc.record({
  tokens: fc.integer({ min: 1, max: 5000 }),
  wanted: fc.integer({ min: 0, max: 2000 }),
  sequences: fc.integer({ min: 1, max: 2000 }),
});
/** Limits, and two steps within them. */
const steps = someLimits.chain((limits) => {
  const step = fc.record({
    tokens: fc.integer({ min: 1, max: limits.tokens }),
    wanted: fc.integer({ min: 0, max: limits.wanted }),
    sequences: fc.integer({ min: 1, max: limits.sequences }),
  });
  return fc.tuple(fc.constant(limits), step, step);
});

test('sizes of tokens are exact up to 8, then two for each octave, then the limit', () => {
  expect(tokenSizes(100)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 48, 64, 96, 100]);
  expect(tokenSizes(64).slice(-2)).toEqual([48, 64]);
  expect(tokenSizes(3)).toEqual([1, 2, 3]);
});

test('sizes of sequences and wanted rows are powers of two, then the limit', () => {
  expect(rowSizes(20)).toEqual([1, 2, 4, 8, 16, 20]);
  expect(rowSizes(16)).toEqual([1, 2, 4, 8, 16]);
  expect(rowSizes(0)).toEqual([]);
});

test('there are few', () => {
  expect(tokenSizes(8192)).toHaveLength(28);
  expect(rowSizes(1024)).toHaveLength(11);
});

describe('a bucket', () => {
  test('holds the step, and is of the sizes that there are', () => {
    fc.assert(
      fc.property(steps, ([limits, step]) => {
        const bucket = bucketFor(step, limits);
        for (const kind of kinds) {
          expect(bucket[kind]).toBeGreaterThanOrEqual(step[kind]);
          expect(bucket[kind]).toBeLessThanOrEqual(limits[kind]);
        }
        expect(tokenSizes(limits.tokens)).toContain(bucket.tokens);
        expect([0, ...rowSizes(limits.wanted)]).toContain(bucket.wanted);
        expect(rowSizes(limits.sequences)).toContain(bucket.sequences);
      }),
    );
  });

  test('is the smallest: no size in between would hold the step', () => {
    fc.assert(
      fc.property(steps, ([limits, step]) => {
        const bucket = bucketFor(step, limits);
        const between = (sizes: readonly number[], kind: (typeof kinds)[number]) =>
          sizes.filter((size) => size >= step[kind] && size < bucket[kind]);
        expect(between(tokenSizes(limits.tokens), 'tokens')).toEqual([]);
        expect(between([0, ...rowSizes(limits.wanted)], 'wanted')).toEqual([]);
        expect(between(rowSizes(limits.sequences), 'sequences')).toEqual([]);
        expect(bucketFor(bucket, limits)).toEqual(bucket);
      }),
    );
  });

  test('of more is no smaller', () => {
    fc.assert(
      fc.property(steps, ([limits, one, other]) => {
        const [a, b] = [bucketFor(one, limits), bucketFor(other, limits)];
        for (const kind of kinds) {
          if (one[kind] <= other[kind]) expect(a[kind]).toBeLessThanOrEqual(b[kind]);
        }
      }),
    );
  });
});
