import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { extentOf, gather, isContiguous, mayOverlap } from './strided.js';
import type { StridedView } from './strided.js';

/** All places of a view in row-major order, by the definition. */
function places({ offset, shape, strides }: StridedView): number[] {
  return shape.reduce<number[]>(
    (starts, size, axis) =>
      starts.flatMap((start) => Array.from({ length: size }, (_, i) => start + i * strides[axis]!)),
    [offset],
  );
}

/** Views that arise from slicing and permuting a row-major tensor, with sizes of one and steps thrown in. */
const sliced = fc
  .array(
    fc.record({
      size: fc.integer({ min: 1, max: 4 }),
      gap: fc.integer({ min: 1, max: 3 }),
      order: fc.nat(),
    }),
    {
      maxLength: 4,
    },
  )
  .map((axes): StridedView => {
    let stride = 1;
    const laid = axes.map(({ size, gap, order }) => {
      const axis = { size, stride: stride * gap, order };
      stride *= gap * size;
      return axis;
    });
    laid.sort((a, b) => a.order - b.order);
    return {
      offset: 0,
      shape: laid.map(({ size }) => size),
      strides: laid.map(({ stride: s }) => s),
    };
  });

const anyView = fc
  .array(fc.tuple(fc.nat(4), fc.nat(9)), { maxLength: 4 })
  .map((axes): StridedView => ({
    offset: 0,
    shape: axes.map(([size]) => size),
    strides: axes.map(([, stride]) => stride),
  }));

describe('strided views', () => {
  it('reach as far as their last place', () => {
    fc.assert(
      fc.property(anyView, (view) => {
        expect(extentOf(view)).toBe(Math.max(-1, ...places(view)) + 1);
      }),
      { seed: 1, numRuns: 500 },
    );
  });

  it('are contiguous when their places count up from 0', () => {
    fc.assert(
      fc.property(fc.oneof(anyView, sliced), (view) => {
        const counts = places(view).every((place, i) => place === i);
        expect(isContiguous(view)).toBe(counts);
      }),
      { seed: 2, numRuns: 1000 },
    );
  });

  it('never hide an overlap, and slices of a tensor are none', () => {
    fc.assert(
      fc.property(anyView, (view) => {
        const all = places(view);
        if (new Set(all).size < all.length) expect(mayOverlap(view)).toBe(true);
      }),
      { seed: 3, numRuns: 1000 },
    );
    fc.assert(
      fc.property(sliced, (view) => {
        expect(mayOverlap(view)).toBe(false);
      }),
      { seed: 4, numRuns: 500 },
    );
  });

  it('are gathered in row-major order, in one pass forward, whatever the window', async () => {
    await fc.assert(
      fc.asyncProperty(
        sliced,
        fc.integer({ min: 1, max: 40 }),
        fc.constantFrom(1, 2, 4, 8),
        async (view, windowBytes, itemBytes) => {
          const storage = Uint8Array.from(
            { length: extentOf(view) * itemBytes },
            (_, i) => i * 7 + (i >> 8),
          );
          const all = places(view);
          const into = new Uint8Array(all.length * itemBytes);
          let reached = 0;
          let largest = 0;
          await gather({
            view,
            itemBytes,
            into,
            windowBytes,
            read: async (start, length) => {
              expect(start).toBeGreaterThanOrEqual(reached === 0 ? 0 : reached - itemBytes + 1);
              expect(start + length).toBeLessThanOrEqual(storage.length);
              reached = start + length;
              largest = Math.max(largest, length);
              return storage.slice(start, start + length);
            },
          });
          expect(largest).toBeLessThanOrEqual(Math.max(windowBytes, itemBytes));
          const expected = all.flatMap((place) => [
            ...storage.subarray(place * itemBytes, (place + 1) * itemBytes),
          ]);
          expect([...into]).toEqual(expected);
        },
      ),
      { seed: 5, numRuns: 500 },
    );
  });
});
