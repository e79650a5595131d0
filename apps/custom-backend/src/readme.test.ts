import { lower } from '@rwkv-ts/backend-kit';
import { tinyModels } from '@rwkv-ts/backend-kit/conformance';
import { expect, test } from 'vitest';
import { createCustomBackend } from './index.js';

// The example of the README, with a tiny model.
test.each(tinyModels().map(({ version, ...model }) => ({ version, model })))(
  'RWKV-$version gives a row of logits',
  async ({ model: { program, weights: list, config } }) => {
    async function* hostWeights() {
      for (const weight of list) yield { ...weight, bytes: weight.bytes.slice() };
    }
    await using backend = createCustomBackend();
    const mine = lower(program, backend.supports.ops);
    await using weights = await backend.upload(hostWeights());
    await using states = await backend.createStates(mine.states, 4);
    const limits = { tokens: 256, sequences: 4, wanted: 4 };
    await using executable = await backend.compile(mine, { weights, states }, limits);
    const logits = await executable.run({
      tokens: Uint32Array.of(3, 1, 4),
      starts: Uint32Array.of(0, 3),
      slots: Uint32Array.of(2),
      wanted: Uint32Array.of(2),
    });
    expect(logits).toHaveLength(config.vocabularySize);
    expect(logits.every(Number.isFinite)).toBe(true);
  },
);
