import { expect, test } from 'vitest';
import { shiftMixKernel, shiftMixPart } from './shift-mix.js';

test('parts cover a row, and are many only where rows are few', () => {
  for (const width of [1, 67, 512, 513, 768, 2560, 4096, 5000]) {
    for (const rows of [1, 2, 7, 64, 128, 129, 4096]) {
      const part = shiftMixPart({ width, rows });
      const parts = Math.ceil(width / part);
      expect(part % shiftMixKernel.threads).toBe(0);
      expect(parts === 1 || parts * rows <= 128).toBe(true);
    }
  }
  expect(shiftMixPart({ width: 4096, rows: 1 })).toBe(512);
  expect(shiftMixPart({ width: 4096, rows: 512 })).toBe(4096);
});
