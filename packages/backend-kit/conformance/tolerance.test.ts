import { describe, expect, test } from 'vitest';
import { normal, Random } from '../src/random.js';
import { opCaseTable } from './cases/index.js';
import { logitsBound, opBound, tolerances } from './tolerance.js';

const f32 = { activations: 'f32' } as const;
const { fround } = Math;

test('bounds grow from f64 over f32 to f16, for every op and for logits', () => {
  for (const { kind } of Object.values(opCaseTable)) {
    const [wide, single, half] = (['f64', 'f32', 'f16'] as const).map(
      (activations) => opBound(kind, { activations }).relative,
    );
    const copies = tolerances[kind].working + tolerances[kind].stored === 0;
    expect(wide! < single! || copies, kind).toBe(true);
    expect(single! < half! || copies, kind).toBe(true);
    // One part in ten thousand for f32, one in a hundred for f16: no op may be vague.
    expect(single, kind).toBeLessThan(1e-4);
    expect(half, kind).toBeLessThan(1e-2);
  }
  const logits = (['f64', 'f32', 'f16'] as const).map(
    (activations) => logitsBound({ activations }).relative,
  );
  expect(logits).toEqual([...logits].sort((a, b) => a - b));
});

test('slack multiplies the arithmetic, not the storage', () => {
  const half = { activations: 'f16' } as const;
  const added = opBound('norm', half, 3).relative - opBound('norm', half).relative;
  expect(added).toBeCloseTo(2 * tolerances.norm.working * 2 ** -24, 12);
});

describe('a norm whose mean is far from zero', () => {
  const variant = opCaseTable.norm.variants.find(({ name }) => name === 'mean far from zero')!;
  const x = new Random(1).fill(96, (random) => 100 + normal()(random));
  const exactMean = x.reduce((sum, value) => sum + value, 0) / 96;
  const exactVariance =
    Array.from(x, (value) => (value - exactMean) ** 2).reduce((sum, value) => sum + value, 0) / 96;
  const exact = Array.from(x, (value) => (value - exactMean) / Math.sqrt(exactVariance));
  const bound = opBound('norm', f32, variant.slack).relative * Math.max(...exact.map(Math.abs));
  const sum = (values: Iterable<number>) => {
    let total = 0;
    for (const value of values) total = fround(total + value);
    return total;
  };
  const mean = fround(sum(x) / 96);
  const worst = (variance: number) =>
    Math.max(
      ...exact.map((value, n) => Math.abs(value - fround((x[n]! - mean) / Math.sqrt(variance)))),
    );

  test('is within the bound in f32 with two passes', () => {
    const squares = Array.from(x, (value) => fround(fround(value - mean) ** 2));
    expect(worst(fround(sum(squares) / 96))).toBeLessThan(bound);
  });

  test('is not with E[x²] - E[x]²', () => {
    const squares = Array.from(x, (value) => fround(value * value));
    expect(worst(fround(fround(sum(squares) / 96) - fround(mean * mean)))).toBeGreaterThan(bound);
  });
});
