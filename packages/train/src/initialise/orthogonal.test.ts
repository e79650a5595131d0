import { expect, test } from 'vitest';
import { orthogonal } from './orthogonal.js';
import { NamedRandom } from './random.js';

const make = (rows: number, columns: number, gain = 1, seed = 1): Float32Array =>
  orthogonal({ rows, columns, gain, random: new NamedRandom(seed, 'w') });

test.each([
  [1, 1],
  [16, 16],
  [7, 40],
  [40, 7],
])('%d × %d: the fewer of rows and columns are orthonormal', (rows, columns) => {
  const gain = 0.5;
  const matrix = make(rows, columns, gain);
  const [count, length] = [Math.min(rows, columns), Math.max(rows, columns)];
  const at = (vector: number, index: number): number =>
    rows <= columns ? matrix[vector * columns + index]! : matrix[index * columns + vector]!;
  for (let a = 0; a < count; a++) {
    for (let b = 0; b < count; b++) {
      let sum = 0;
      for (let index = 0; index < length; index++) sum += at(a, index) * at(b, index);
      expect(sum).toBeCloseTo(a === b ? gain * gain : 0, 6);
    }
  }
});

test('no direction is preferred', () => {
  // Over many 2 × 2 matrices each entry has mean 0 and square mean 1/2.
  const sums = [0, 0, 0, 0];
  const squares = [0, 0, 0, 0];
  const count = 2000;
  for (let seed = 0; seed < count; seed++) {
    for (const [index, value] of make(2, 2, 1, seed).entries()) {
      sums[index]! += value / count;
      squares[index]! += value ** 2 / count;
    }
  }
  for (const sum of sums) expect(Math.abs(sum)).toBeLessThan(0.06);
  for (const square of squares) expect(Math.abs(square - 0.5)).toBeLessThan(0.04);
});

test('normal numbers: moments, and two streams that know nothing of each other', () => {
  const [one, other] = [new NamedRandom(3, 'a'), new NamedRandom(3, 'b')];
  const count = 40_000;
  const [moments, crossed] = [[0, 0, 0, 0], { sum: 0 }];
  for (let draw = 0; draw < count; draw++) {
    const value = one.normal();
    for (const power of moments.keys()) moments[power]! += value ** (power + 1) / count;
    crossed.sum += (value * other.normal()) / count;
  }
  expect(Math.abs(moments[0]!)).toBeLessThan(0.02);
  expect(Math.abs(moments[1]! - 1)).toBeLessThan(0.03);
  expect(Math.abs(moments[2]!)).toBeLessThan(0.08);
  expect(Math.abs(moments[3]! - 3)).toBeLessThan(0.2);
  expect(Math.abs(crossed.sum)).toBeLessThan(0.02);
});
