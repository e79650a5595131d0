import fc from 'fast-check';
import { expect, test } from 'vitest';
import { placeBuffers, placeParameters } from './place.js';

interface Rows {
  readonly name: string;
  readonly size: number | undefined;
}
const rows = (name: string, size?: number): Rows => ({ name, size });
const sizeOf = ({ size }: Rows) => size;

test('what is alive at the same time lies apart, and the rest is shared', () => {
  const [a, b, c] = [rows('a', 10), rows('b', 10), rows('c', 10)];
  const steps = [
    { time: 0, reads: [], writes: [a] },
    { time: 1, reads: [a], writes: [b] },
    { time: 2, reads: [b], writes: [c] },
  ];
  const { offsets, size } = placeBuffers(steps, { sizeOf, alignment: 8 });
  expect(Object.fromEntries([...offsets].map(([{ name }, at]) => [name, at]))).toEqual({
    a: 0,
    b: 16,
    c: 0,
  });
  expect(size).toBe(32);
  const isKept = (each: Rows) => each === a;
  expect(placeBuffers(steps, { sizeOf, alignment: 8, isKept }).size).toBe(48);
});

test('steps of one time run in any order', () => {
  const [a, b] = [rows('a', 8), rows('b', 8)];
  const steps = [
    { time: 0, reads: [], writes: [a] },
    { time: 0, reads: [], writes: [b] },
  ];
  expect(placeBuffers(steps, { sizeOf, alignment: 8 }).size).toBe(16);
});

test('what lies elsewhere is not placed', () => {
  const elsewhere = rows('elsewhere');
  const { offsets, size } = placeBuffers([{ time: 0, reads: [], writes: [elsewhere] }], {
    sizeOf,
    alignment: 8,
  });
  expect([...offsets]).toEqual([]);
  expect(size).toBe(0);
});

test('of any steps, buffers alive together never overlap', () => {
  const touches = fc.array(fc.tuple(fc.nat(9), fc.nat(9)), { minLength: 1, maxLength: 30 });
  const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 10, maxLength: 10 });
  fc.assert(
    fc.property(touches, sizes, (pairs, numbers) => {
      const all = numbers.map((size, index) => rows(String(index), size));
      const steps = pairs.map(([read, write], time) => ({
        time,
        reads: [all[read]!],
        writes: [all[write]!],
      }));
      const { offsets, size } = placeBuffers(steps, { sizeOf, alignment: 4 });
      const lives = [...offsets].map(([buffer, from]) => {
        const times = pairs.flatMap((pair, time) =>
          pair.includes(all.indexOf(buffer)) ? time : [],
        );
        const to = from + buffer.size!;
        return { from, to, first: Math.min(...times), last: Math.max(...times) };
      });
      for (const [index, one] of lives.entries()) {
        expect(one.from % 4).toBe(0);
        expect(one.to).toBeLessThanOrEqual(size);
        for (const other of lives.slice(index + 1)) {
          const together = one.first <= other.last && other.first <= one.last;
          if (together) expect(one.to <= other.from || other.to <= one.from).toBe(true);
        }
      }
    }),
    { numRuns: 200, seed: 3 },
  );
});

test('a parameter is placed once for a form and a repetition', () => {
  const one = { weight: 'w', form: undefined, repeat: 1 } as const;
  const repeated = { ...one, repeat: 4 };
  const exp = { ...one, form: 'exp' } as const;
  const area = placeParameters([one, repeated, { ...one }, exp], {
    countOf: () => 5,
    alignment: 8,
  });
  expect(area.placed).toEqual([
    { parameter: one, offset: 0 },
    { parameter: repeated, offset: 8 },
    { parameter: exp, offset: 32 },
  ]);
  expect(area.numbers).toBe(40);
  expect(area.offsetOf({ ...exp })).toBe(32);
});
