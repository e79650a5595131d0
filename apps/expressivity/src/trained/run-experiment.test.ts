import { createReferenceBackend } from '@rwkv-ts/reference';
import { expect, test } from 'vitest';
import { groups } from './groups.js';
import { runExperiment } from './run-experiment.js';
import { type Task, wordProblem } from './tasks.js';

const options = {
  model: { version: '7', layers: 1, channels: 16, headSize: 16 },
  length: 8,
  steps: 120,
  sequences: 16,
  learningRate: 0.01,
  seed: 1,
  testLengths: [8, 70],
  testSamples: 20,
} as const;

/** The target is the token before: what a token shift alone can do. */
const previous: Task = {
  name: 'previous',
  vocabularySize: 4,
  sample(uniform, length) {
    const tokens = Uint32Array.from({ length }, () => Math.floor(uniform() * 4));
    const mask = new Uint8Array(length).fill(1);
    mask[0] = 0;
    return { tokens, targets: Uint32Array.of(0, ...tokens.slice(0, -1)), mask };
  },
};

test(
  'a task that one layer can do is learned, and holds at lengths never seen',
  { timeout: 120_000 },
  async () => {
    await using backend = createReferenceBackend();
    const losses: number[] = [];
    const result = await runExperiment({
      ...options,
      backend,
      task: previous,
      goodEnough: 0.02,
      onStep: ({ loss }) => losses.push(loss),
    });
    expect(losses[0]).toBeGreaterThan(1);
    expect(result.loss).toBeLessThan(0.1);
    expect(result.steps).toBe(losses.length);
    expect(result.accuracy.map(({ length }) => length)).toEqual([8, 70]);
    for (const { tokens } of result.accuracy) expect(tokens).toBeGreaterThan(0.98);
  },
);

test('what has not been learned is at chance', { timeout: 120_000 }, async () => {
  await using backend = createReferenceBackend();
  const task = wordProblem(groups.S5());
  const { accuracy } = await runExperiment({ ...options, backend, task, steps: 1 });
  expect(accuracy[1]!.tokens).toBeLessThan(0.1);
  expect(accuracy[1]!.samples).toBe(0);
});

test('stops where the caller says', async () => {
  await using backend = createReferenceBackend();
  const abort = new AbortController();
  const onStep = (): void => {
    abort.abort();
  };
  const run = runExperiment({ ...options, backend, task: previous, signal: abort.signal, onStep });
  await expect(run).rejects.toThrow(/abort/);
});
