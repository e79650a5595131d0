import type { HostWeight } from '@rwkv-ts/backend';
import { bytesForShape, decode } from '@rwkv-ts/formats';
import { describe, expect, test } from 'vitest';
import { batchOf } from '../conformance/batches.js';
import { openOracle, primitiveKinds } from '../conformance/session.js';
import { tinyModels } from '../conformance/tiny-models.js';
import { createRandomWeights, lower } from './index.js';

const find = (weights: readonly HostWeight[], name: string) =>
  weights.find((weight) => weight.name === name)!;
const models = tinyModels().map((model) => ({ version: model.version, model }));

describe.each(models)('RWKV-$version', ({ model }) => {
  test('every weight of the program, in its shape', () => {
    const weights = createRandomWeights(model.config, { seed: 5 });
    expect(weights.map(({ name, shape }) => ({ name, shape }))).toEqual(model.program.weights);
    for (const { format, shape, bytes } of weights) {
      expect(bytes.length).toBe(bytesForShape(format, shape));
    }
  });

  test('logits of deviation about 1, and states that stay of a sane size', async () => {
    const weights = createRandomWeights(model.config, { seed: 5 });
    await using session = await openOracle({ ...model, weights });
    const tokens = Array.from({ length: 40 }, (_, t) => (t * t) % 61);
    const logits = await session.run(batchOf([{ slot: 0, tokens }]));
    const squares = Float64Array.from(logits, (value) => value * value);
    const deviation = Math.sqrt(squares.reduce((sum, value) => sum + value, 0) / logits.length);
    expect(deviation).toBeGreaterThan(0.8);
    expect(deviation).toBeLessThan(1.25);
  });
});

test('a weight depends on the seed and its own name only', () => {
  const [{ model: four }, { model: seven }] = [models[0]!, models.at(-1)!];
  const [a, b, again] = [four, seven, four].map(({ program }) =>
    createRandomWeights(program, { seed: 9 }),
  );
  expect(find(a!, 'emb.weight').bytes).toEqual(find(b!, 'emb.weight').bytes);
  expect(a).toEqual(again);
  expect(createRandomWeights(four.program, { seed: 10 })).not.toEqual(a);
});

test('a lowered program gets decays as well spread as the whole one', () => {
  const { program } = tinyModels().find(({ version }) => version === '6')!;
  const weights = createRandomWeights(lower(program, primitiveKinds), { seed: 1 });
  const { format, bytes } = find(weights, 'blocks.0.att.time_decay');
  const decays = [...decode(format, bytes)].map((value) => Math.exp(-Math.exp(value)));
  expect(Math.min(...decays)).toBeLessThan(0.6);
  expect(Math.max(...decays)).toBeGreaterThan(0.98);
});

test('a block format stores the matrices that fit it, and nothing else', () => {
  const config = { ...models[0]!.model.config, channels: 64, channelMixSize: 96 };
  if (config.version !== '4') throw new Error('the first tiny model is of version 4');
  const weights = createRandomWeights(config, { seed: 1, format: 'q8_0' });
  for (const { format, shape } of weights) expect(format).toBe(shape.length === 2 ? 'q8_0' : 'f32');
  const wide = createRandomWeights(config, { seed: 1, format: 'q4_k' });
  for (const { format } of wide) expect(format).toBe('f32');
});
