import { expect, test } from 'vitest';
import { decide, generateGreedily, greedyTokens } from './models.js';
import { openOracle } from './session.js';
import { tinyModels } from './tiny-models.js';
import { logitsBound } from './tolerance.js';

const models = tinyModels().map((model) => ({ version: model.version, model }));

test.each(models)('RWKV-$version decides its greedy tokens clearly', async ({ model }) => {
  await using oracle = await openOracle(model);
  const steps = await generateGreedily(oracle, model);
  expect(steps).toHaveLength(greedyTokens);
  // Twice, because the best may sink while the next one rises.
  const needed = 2 * logitsBound({ activations: 'f16' }).relative;
  expect(Math.min(...steps.map(({ margin }) => margin))).toBeGreaterThan(needed);
  // A model that repeats itself would compare the same few decisions again and again.
  expect(new Set(steps.map(({ token }) => token)).size).toBeGreaterThanOrEqual(16);
});

test('decide finds the largest and its lead, wherever they are', () => {
  expect(decide(Float32Array.of(1, 4, 3))).toEqual({ token: 1, margin: 0.25 });
  expect(decide(Float32Array.of(4, 1, -8))).toEqual({ token: 0, margin: 0.375 });
  expect(decide(Float32Array.of(-4, -2, -1))).toEqual({ token: 2, margin: 0.25 });
});
