import { expect, test } from 'vitest';
import { formatLayouts, weightFormats } from '../weights/layout.js';
import { jobBlocks, type LinearOptions, linearVariants, scratchOf } from './linear.js';

const everyOption: LinearOptions[] = weightFormats.flatMap((format) =>
  (formatLayouts[format].block === 1
    ? (['rows', 'columns'] as const)
    : (['rows'] as const)
  ).flatMap((layout) =>
    (['none', 'f16', 'all'] as const).map((tensorCores) => ({
      format,
      layout,
      features: { tensorCores },
    })),
  ),
);

/** The shapes of RWKV 0.1B and 7.2B, low-rank pairs, and odd ones. */
const shapes = [
  [65_536, 4096],
  [16_384, 4096],
  [4096, 16_384],
  [768, 768],
  [64, 4096],
  [4096, 64],
  [256, 256],
] as const;

test.each(everyOption.map((options) => [Object.values(options).join(' '), options] as const))(
  '%s: some variant takes every number of rows, in blocks that a launch may have',
  (_, options) => {
    const variants = linearVariants(options);
    const limits = variants.map(({ mostRows }) => mostRows);
    expect(limits).toEqual([...new Set(limits)].sort((a, b) => a - b));
    expect(limits.at(-1)).toBe(Infinity);
    for (const variant of variants) {
      expect(variant.kernel.threads % 32).toBe(0);
      for (const [rows, columns] of shapes) {
        const blocks = jobBlocks(variant, { rows, columns });
        expect(blocks * variant.outputsPerBlock(columns)).toBeGreaterThanOrEqual(rows);
        expect(blocks).toBeLessThanOrEqual(65_535);
      }
    }
  },
);

test('few outputs of a long sum are split, and each tile has room for every part', () => {
  const variants = linearVariants({
    format: 'f16',
    layout: 'columns',
    features: { tensorCores: 'all' },
  });
  const shape = { rows: 4096, columns: 16_384 };
  const [single, , tiles] = variants;
  expect(scratchOf(single!, shape, 1)).toEqual({
    partialBytes: 16 * 32 * 256 * 4,
    counterBytes: 16 * 4,
  });
  expect(tiles!.splits(shape)).toBe(4);
  expect(scratchOf(tiles!, shape, 33)).toEqual({
    partialBytes: 64 * 4 * 64 * 64 * 4,
    counterBytes: 64 * 4,
  });
  expect(scratchOf(variants.at(-1)!, shape, 512)).toEqual({ partialBytes: 0, counterBytes: 0 });
});
