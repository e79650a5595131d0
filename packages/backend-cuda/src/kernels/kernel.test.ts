import { expect, test } from 'vitest';
import { layoutOf } from './kernel.js';

test('fields lie as a C++ compiler places them', () => {
  const { offsets, bytes } = layoutOf({ x: 'rows', rows: 'count', at: 'pointer', eps: 'number' });
  expect([...offsets]).toEqual([
    ['x', 0],
    ['rows', 16],
    ['at', 24],
    ['eps', 32],
  ]);
  expect(bytes).toBe(40);
});
