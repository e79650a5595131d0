import { expect, test } from 'vitest';
import { normal, Random, uniform } from './random.js';

const moments = (values: Float32Array) => {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return { mean, variance };
};

test('the same seed and stream give the same numbers, others others', () => {
  const draw = (seed: number, stream?: string) => [
    ...new Random(seed, stream).fill(8, uniform(0, 1)),
  ];
  expect(draw(1, 'a')).toEqual(draw(1, 'a'));
  expect(draw(1, 'a')).not.toEqual(draw(2, 'a'));
  expect(draw(1, 'a')).not.toEqual(draw(1, 'b'));
  expect(draw(1, 'ab')).not.toEqual(draw(1, 'ba'));
});

test('uniform and normal numbers have their moments', () => {
  const flat = moments(new Random(3).fill(100_000, uniform(-1, 3)));
  expect(flat.mean).toBeCloseTo(1, 1);
  expect(flat.variance).toBeCloseTo(16 / 12, 1);
  const bell = moments(new Random(4).fill(100_000, normal(2)));
  expect(bell.mean).toBeCloseTo(0, 1);
  expect(bell.variance).toBeCloseTo(4, 0);
});

test('integers cover their range and nothing else', () => {
  const random = new Random(5);
  const seen = new Set(Array.from({ length: 1000 }, () => random.integer(7)));
  expect([...seen].sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
});
