import { bytesForShape } from '@rwkv-ts/formats';
import { expect, test } from 'vitest';
import { formatLayouts, matrixAlignment, placeMatrix, weightFormats } from './layout.js';

test.each(weightFormats)(
  '%s: regions are apart, aligned, and hardly larger than the file',
  (format) => {
    const { block } = formatLayouts[format];
    for (const layout of block === 1 ? (['rows', 'columns'] as const) : (['rows'] as const)) {
      for (const [rows, columns] of [
        [1, block],
        [43, 3 * block],
        [4096, 4096],
      ] as const) {
        const place = placeMatrix({ format, layout, rows, columns });
        expect(place.highsAt % matrixAlignment).toBe(0);
        expect(place.scalesAt % matrixAlignment).toBe(0);
        expect(place.bytes % matrixAlignment).toBe(0);
        const file = bytesForShape(format, [rows, columns]);
        expect(place.bytes).toBeGreaterThanOrEqual(file);
        if (columns === 4096) expect(place.bytes).toBeLessThan(1.03 * file);
      }
    }
  },
);

test('rows, and columns, are filled to multiples of 16 bytes', () => {
  const shape = { rows: 3, columns: 67 };
  expect(placeMatrix({ format: 'f32', layout: 'rows', ...shape }).stride).toBe(68);
  expect(placeMatrix({ format: 'f16', layout: 'rows', ...shape }).stride).toBe(72);
  expect(placeMatrix({ format: 'bf16', layout: 'columns', ...shape }).stride).toBe(8);
  expect(placeMatrix({ format: 'q5_k', layout: 'rows', rows: 2, columns: 256 })).toEqual({
    highsAt: 256,
    scalesAt: 512,
    bytes: 768,
    stride: 256,
  });
});
