import { expect, test } from 'vitest';
import { countersFor } from './positions.js';

test('the position before and the marker tell the position, and a period ends where it began', () => {
  for (let multiple = 1; multiple <= 20; multiple++) {
    for (const { marker, period, periodBefore } of countersFor(multiple) ?? []) {
      const told = new Set(marker.map((at, position) => `${position % periodBefore},${at}`));
      expect(told.size).toBe(period);
      expect(marker.at(-1)).toBe(0);
    }
  }
});

test('reaches blocks of 1 to 10 and 12 letters, with the smallest periods', () => {
  const periods = Array.from({ length: 12 }, (_, at) => countersFor(2 * (at + 1))?.at(-1)?.period);
  expect(periods).toEqual([2, 4, 6, 8, 20, 12, 42, 16, 18, 20, undefined, 24]);
});
