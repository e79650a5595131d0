/** Trains a small model on a task from scratch, and tests it on longer sequences than it learned from. */
import type { Backend } from '@rwkv-ts/backend';
import { RandomStream, seedState } from '@rwkv-ts/sampler';
import { createTrainer, newConfig, type NewConfigOptions, newModel } from '@rwkv-ts/train';
import { type Accuracy, measureAccuracy } from './accuracy.js';
import { taskStream } from './task-stream.js';
import type { Task } from './tasks.js';

export interface ExperimentOptions {
  /** One with `createTraining`; it stays the caller's. */
  readonly backend: Backend;
  readonly task: Task;
  readonly model: Omit<NewConfigOptions, 'vocabularySize'>;
  /** Tokens of a sample to learn from. */
  readonly length: number;
  readonly steps: number;
  /** Samples of an update. */
  readonly sequences: number;
  readonly learningRate: number;
  readonly seed: number;
  /** Tokens of the samples to test on, each of which gets `testSamples`. */
  readonly testLengths: readonly number[];
  readonly testSamples: number;
  /** Stops early, with success, when an update's loss per token falls below. Default 0: never. */
  readonly goodEnough?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onStep?: ((report: { step: number; loss: number }) => void) | undefined;
}

export interface ExperimentResult {
  readonly parameters: number;
  /** Updates that were done. */
  readonly steps: number;
  /** Of the last update, per token. */
  readonly loss: number;
  readonly seconds: number;
  readonly accuracy: readonly (Accuracy & { readonly length: number })[];
}

/** Test samples come from another seed than those that the model learned from. */
const testSeed = 1_000_003;

/** @throws TrainError, BackendError; DOMException `AbortError` where the signal fired */
export async function runExperiment(options: ExperimentOptions): Promise<ExperimentResult> {
  const { backend, task, seed, length, steps, sequences, goodEnough = 0, signal } = options;
  const config = newConfig({ ...options.model, vocabularySize: task.vocabularySize });
  const model = newModel(config, { seed });
  const begin = performance.now();
  const enough = new AbortController();
  const signals = [enough.signal, ...(signal ? [signal] : [])];
  await using trainer = await createTrainer({
    backend,
    model,
    data: taskStream(task, { length, seed }),
    steps,
    batch: { sequences, context: length },
    optimizer: {
      learningRate: {
        peak: options.learningRate,
        final: options.learningRate / 20,
        warmupSteps: 20,
      },
      betas: [0.9, 0.99],
      epsilon: 1e-12,
      weightDecay: 0.01,
      largestLogitPenalty: 0,
    },
    signal: AbortSignal.any(signals),
    onStep({ step, loss }) {
      options.onStep?.({ step, loss });
      if (loss < goodEnough) enough.abort();
    },
  });
  const report = await trainer.run();
  signal?.throwIfAborted();
  const seconds = (performance.now() - begin) / 1000;
  const accuracy: (Accuracy & { length: number })[] = [];
  for (const testLength of options.testLengths) {
    const random = new RandomStream(seedState(BigInt(seed + testSeed)));
    const samples = Array.from({ length: options.testSamples }, () =>
      task.sample(() => random.nextUniform(), testLength),
    );
    const measured = await measureAccuracy(samples, { backend, model: trainer.model });
    accuracy.push({ length: testLength, ...measured });
    signal?.throwIfAborted();
  }
  const parameters = model.tensors.reduce(
    (sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1),
    0,
  );
  return { parameters, steps: report.step, loss: report.loss ?? Number.NaN, seconds, accuracy };
}
