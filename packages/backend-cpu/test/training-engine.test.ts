/** What is this backend's own about training: threads, memory, disposal, and words that the encoder never sends. */
import type { BackendError, TrainingOptions } from '@rwkv-ts/backend';
import { buildProgram } from '@rwkv-ts/model';
import { lower } from '@rwkv-ts/program';
import { describe, expect, test } from 'vitest';
import { handOver } from '../../backend-kit/conformance/session.js';
import { type CpuBackendOptions, createCpuBackend } from '../src/index.js';
import { loadNative } from '../src/load-native.js';
import type { NativeHandle } from '../src/native.js';
import { encodeTraining } from '../src/training/encode-training.js';
import { trainingKinds } from '../src/training/forward.js';
import { countOf } from '../src/training/graph.js';
import { everyVersion, type Subject, tokensOf, wideSubject } from './subjects.js';

const limits = { tokens: 96, sequences: 3, wanted: 96, slots: 3 };
const kinds = new Set(trainingKinds);

function prepare({ config, weights }: Subject) {
  const program = lower(buildProgram(config), kinds);
  const options: TrainingOptions = {
    trainable: [
      ...program.weights.map(({ name }) => ({ kind: 'weight', name }) as const),
      ...program.states.map(({ name }) => ({ kind: 'initial-state', name }) as const),
    ],
    limits,
  };
  const below = program.output.width;
  const batch = {
    tokens: Uint32Array.from(tokensOf(90, { seed: 3, below })),
    starts: Uint32Array.of(0, 1, 60, 90),
    slots: Uint32Array.of(2, 0, 1),
    wanted: Uint32Array.from({ length: 80 }, (_, row) => row + 5),
    targets: Uint32Array.from(tokensOf(80, { seed: 4, below })),
  };
  return { program, options, batch, weights };
}

const update = {
  learningRate: 1e-3,
  weightDecay: 0.1,
  betas: [0.9, 0.99],
  epsilon: 1e-8,
  gradientNormLimit: 0.5,
} as const;

/** Every number of a training after three steps. */
async function trained(subject: Subject, backendOptions: CpuBackendOptions) {
  const { program, options, batch, weights } = prepare(subject);
  await using backend = createCpuBackend(backendOptions);
  const training = await backend.createTraining(program, handOver(weights()), options);
  const losses: number[] = [];
  for (let step = 1; step <= 3; step++) {
    losses.push(await training.accumulate(batch, { scale: 1 / 80 }));
    for (const slot of batch.slots) training.collectInitialGradients(slot);
    await training.update({ ...update, step });
  }
  const names = options.trainable.map(({ name }) => name);
  return { losses, values: await Promise.all(names.map((name) => training.read(name, 'value'))) };
}

test.each([...everyVersion, wideSubject('f32')])(
  '$name: the number of threads changes no bit',
  async (subject) => {
    const alone = await trained(subject, { threads: 1 });
    expect(alone.losses[2]).toBeLessThan(alone.losses[0]!);
    for (const threads of [2, 5]) expect(await trained(subject, { threads })).toEqual(alone);
  },
);

describe('memory', () => {
  const { program, options, weights } = prepare(wideSubject('f32'));

  test('is counted, and given back', async () => {
    await using backend = createCpuBackend();
    const training = await backend.createTraining(program, handOver(weights()), options);
    const { bytes } = training;
    expect(backend.bytes).toBe(bytes);
    const numbers = program.weights.reduce((sum, { shape }) => sum + countOf(shape), 0);
    expect(bytes).toBeGreaterThan(numbers * 16);
    await training[Symbol.asyncDispose]();
    expect(backend.bytes).toBe(0);
  });

  test('grows with the batch by the tokens alone', async () => {
    await using backend = createCpuBackend({ threads: 1 });
    const bytesFor = async (tokens: number) => {
      const larger = { ...options, limits: { ...limits, tokens, wanted: tokens } };
      await using training = await backend.createTraining(program, handOver(weights()), larger);
      return training.bytes;
    };
    const [small, middle, large] = [await bytesFor(128), await bytesFor(256), await bytesFor(512)];
    expect((large - middle) / (middle - small)).toBeCloseTo(2, 1);
  });

  test('is refused before anything is allocated, with both numbers', async () => {
    await using free = createCpuBackend();
    const training = await free.createTraining(program, handOver(weights()), options);
    const memoryLimit = training.bytes - 1;
    await using backend = createCpuBackend({ memoryLimit });
    const refused = backend.createTraining(program, handOver(weights()), options);
    const error = await refused.catch((caught: unknown) => caught as BackendError);
    expect(error).toMatchObject({ code: 'OUT_OF_MEMORY' });
    const { expected, got } = error as BackendError;
    expect(got).toBeGreaterThan(expected as number);
    expect(backend.bytes).toBe(0);
  });
});

test('disposal waits for what is under way, and refuses the rest', async () => {
  const { program, options, batch, weights } = prepare(wideSubject('f32'));
  await using backend = createCpuBackend();
  const training = await backend.createTraining(program, handOver(weights()), options);
  const running = Array.from({ length: 4 }, () => training.accumulate(batch));
  const disposal = training[Symbol.asyncDispose]();
  await expect(training.accumulate(batch)).rejects.toMatchObject({ code: 'DISPOSED' });
  expect(() => {
    training.resetSlot(0);
  }).toThrow(expect.objectContaining({ code: 'DISPOSED' }) as BackendError);
  const losses = await Promise.all(running);
  expect(losses.every(Number.isFinite)).toBe(true);
  await disposal;
  expect(backend.bytes).toBe(0);
});

describe('words that the encoder never sends', () => {
  const addon = loadNative();

  /** The encoder's words with some of them changed: created where they fit memory, and then run. */
  test.each(everyVersion)('$name: are refused, or stay within memory', async (subject) => {
    const { program, options, batch, weights } = prepare(subject);
    const engine = addon.createEngine('scalar', 1, false, 0);
    const held = addon.createWeights();
    const indices = new Map<string, number>();
    for (const { name, shape, bytes } of weights()) {
      const index = await addon.addWeight(engine, held, 0, 1, countOf(shape), true, 0, bytes);
      indices.set(name, index);
    }
    const sizes = Float64Array.from(program.states, ({ shape }) => countOf(shape));
    const states: NativeHandle[] = [];
    while (states.length < 2) {
      const repeats = Float64Array.of(sizes.reduce((sum, size) => sum + size, 0));
      const made = addon.createStates(sizes, new Float32Array(1), limits.slots, repeats);
      await addon.allocateStates(engine, made);
      states.push(made);
    }
    const encoded = encodeTraining(program, options, {
      weight: (name) => indices.get(name)!,
      state: (name) => program.states.findIndex((spec) => spec.name === name),
    });
    const attempt = async (words: Float64Array): Promise<boolean> => {
      try {
        const training = await addon.createTraining(
          engine,
          held,
          states[0]!,
          states[1]!,
          words,
          encoded.arenaFloats,
          encoded.localFloats,
          limits.tokens,
          limits.sequences,
          limits.wanted,
        );
        const { tokens, starts, slots, wanted, targets } = batch;
        const parts = [tokens, starts, slots, wanted, targets] as const;
        try {
          await addon.learn(engine, training, ...parts, undefined, true, 1, 0);
        } catch (error) {
          // Words may say that the vocabulary is smaller.
          expect(error).toBeInstanceOf(TypeError);
        }
        await addon.releaseTraining(engine, training);
        return true;
      } catch (error) {
        expect(error).toMatchObject({ code: 'INTERNAL' });
        return false;
      }
    };
    expect(await attempt(encoded.words)).toBe(true);
    let refused = 0;
    const tries = 250;
    for (let seed = 1; seed <= tries; seed++) {
      const words = encoded.words.slice();
      const at = (seed * 7919) % words.length;
      words[at] = [words[at]! + 1, words[at]! * 2 + 16, 2 ** 40, -1, 0.5][seed % 5]!;
      if (!(await attempt(words))) refused++;
    }
    expect(refused).toBeGreaterThan(tries / 2);
    await addon.drainEngine(engine);
    addon.stopEngine(engine);
  });
});
