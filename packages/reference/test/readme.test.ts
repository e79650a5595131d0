import { buildProgram } from '@rwkv-ts/model';
import { lower } from '@rwkv-ts/program';
import { expect, it } from 'vitest';
import { smallConfigs } from './models.js';
import { hostWeights as hostWeightsOf, randomWeights } from './random.js';
import { createReferenceBackend } from '../src/index.js';

it('the examples of the README run', async () => {
  const program = buildProgram(smallConfigs[5]!);
  const hostWeights = hostWeightsOf(program, randomWeights(program));
  const again = hostWeightsOf(program, randomWeights(program));
  const [tokens, starts] = [Uint32Array.of(1, 2, 3), Uint32Array.of(0, 3)];
  const [slots, wanted] = [Uint32Array.of(0), Uint32Array.of(2)];

  await using backend = createReferenceBackend({ precision: 'f64' });
  const lowered = lower(program, backend.supports.ops);
  const weights = await backend.upload(hostWeights);
  const states = await backend.createStates(lowered.states, 1);
  const limits = { tokens: 64, sequences: 1, wanted: 1 };
  const executable = await backend.compile(lowered, { weights, states }, limits);
  const logits = await executable.run({ tokens, starts, slots, wanted });
  expect(logits).toBeInstanceOf(Float64Array);
  expect(logits.length).toBe(37);
  expect(states.values(0, 'blocks.0.att.wkv').some((number) => number !== 0)).toBe(true);

  const [rows, targets] = [Uint32Array.of(0, 1, 2), Uint32Array.of(2, 3, 4)];
  const learned = lower(program, backend.supports.trainingOps!);
  const trainable = learned.weights.map(({ name }) => ({ kind: 'weight', name }) as const);
  const training = await backend.createTraining(learned, again, {
    trainable,
    limits: { tokens: 64, sequences: 1, wanted: 64, slots: 1 },
  });
  const loss = await training.accumulate({ tokens, starts, slots, wanted: rows, targets });
  expect(loss).toBeGreaterThan(0);
  const gradient = await training.read('emb.weight', 'gradient');
  expect(gradient).toBeInstanceOf(Float64Array);
  const rates = { learningRate: 1e-3, weightDecay: 0, betas: [0.9, 0.99], epsilon: 1e-8 } as const;
  expect((await training.update({ step: 1, ...rates })).applied).toBe(true);
});
