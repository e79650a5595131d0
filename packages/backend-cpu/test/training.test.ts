/** Training in native code against the reference in double precision, for every version, on every instruction set. */
import { readFileSync } from 'node:fs';
import type {
  HostWeight,
  Program,
  Training,
  TrainingBatch,
  TrainingOptions,
} from '@rwkv-ts/backend';
import { buildProgram } from '@rwkv-ts/model';
import { lower } from '@rwkv-ts/program';
import { createReferenceBackend } from '@rwkv-ts/reference';
import { memorySource, openModel } from '@rwkv-ts/weights';
import { describe, expect, test } from 'vitest';
import { handOver } from '../../backend-kit/conformance/session.js';
import {
  type ExpectedTensor,
  goldenFolder,
  goldenPath,
  isGoldenThere,
  readExpected,
} from '../../reference/test/golden.js';
import { availableInstructions, type CpuBackendOptions, createCpuBackend } from '../src/index.js';
import { everyVersion, type Subject, tokensOf, wideSubject } from './subjects.js';

/** Relative to the largest gradient of a tensor. */
const tolerance = 1e-4;

const limits = { tokens: 120, sequences: 4, wanted: 100, slots: 6 };

/** Sequences of several lengths in slots of their own, every second row wanted, and then all. */
function lessonOf(lengths: readonly number[], below: number, seed: number): TrainingBatch {
  const starts = [0];
  for (const length of lengths) starts.push(starts.at(-1)! + length);
  const total = starts.at(-1)!;
  const wanted = Array.from({ length: total }, (_, row) => row).filter((row) => row % 3 !== 1);
  return {
    tokens: Uint32Array.from(tokensOf(total, { seed, below })),
    starts: Uint32Array.from(starts),
    slots: Uint32Array.from(lengths, (_, s) => (s + 1) % 3),
    wanted: Uint32Array.from(wanted),
    targets: Uint32Array.from(tokensOf(wanted.length, { seed: seed + 5, below })),
    lossWeights: Float32Array.from(wanted, (_, row) => (row % 4) / 2),
  };
}

function optionsFor(program: Program): TrainingOptions {
  return {
    trainable: [
      ...program.weights.map(({ name }) => {
        return { kind: 'weight', name, weightDecayFactor: name.length % 2 } as const;
      }),
      ...program.states.map(({ name }) => {
        return { kind: 'initial-state', name, learningRateFactor: 2 } as const;
      }),
    ],
    limits,
  };
}

interface Outcome {
  readonly losses: readonly number[];
  readonly norm: number;
  readonly gradients: ReadonlyMap<string, ArrayLike<number>>;
  readonly values: ReadonlyMap<string, ArrayLike<number>>;
  readonly state: Uint8Array;
}

/** Two chunks of three sequences with gradients carried back over the cut, then a step of the optimiser. */
async function learn(
  training: Training,
  program: Program,
  options: TrainingOptions,
): Promise<Outcome> {
  const below = program.output.width;
  const first = lessonOf([17, 1, 40], below, 1);
  const second = { ...lessonOf([33, 2, 20], below, 2), slots: first.slots };
  for (const slot of first.slots) training.copyStates(slot, slot + 3);
  const losses = [await training.evaluate(first)];
  losses.push(await training.accumulate(second, { scale: 1 / 50, largestLogitPenalty: 1e-2 }));
  const state = await training.readStates(first.slots[2]!);
  for (const slot of first.slots) training.copyStates(slot + 3, slot);
  losses.push(await training.accumulate(first, { scale: 1 / 50 }));
  for (const slot of first.slots) training.collectInitialGradients(slot);
  const read = async (part: 'gradient' | 'value') => {
    const all = new Map<string, ArrayLike<number>>();
    for (const { name } of options.trainable) all.set(name, await training.read(name, part));
    return all;
  };
  const gradients = await read('gradient');
  const { gradientNorm } = await training.update({
    step: 3,
    learningRate: 1e-2,
    weightDecay: 0.1,
    betas: [0.9, 0.99],
    // So large that the direction of a gradient of almost nothing does not decide.
    epsilon: 1,
    gradientNormLimit: 1,
  });
  return { losses, norm: gradientNorm, gradients, values: await read('value'), state };
}

/** The largest difference, relative to the largest number that is wanted. */
function difference(got: ArrayLike<number>, wanted: ArrayLike<number>): number {
  if (got.length !== wanted.length) return Infinity;
  let largest = 1e-9;
  let worst = 0;
  for (let at = 0; at < wanted.length; at++) {
    largest = Math.max(largest, Math.abs(wanted[at]!));
    const own = Math.abs(got[at]! - wanted[at]!);
    worst = Number.isNaN(own) ? Infinity : Math.max(worst, own);
  }
  return worst / largest;
}

const expected = new Map<string, Promise<Outcome>>();

async function inReference({ config, weights }: Subject): Promise<Outcome> {
  await using backend = createReferenceBackend({ precision: 'f64' });
  const program = lower(buildProgram(config), backend.supports.trainingOps!);
  const options = optionsFor(program);
  const training = await backend.createTraining(program, handOver(weights()), options);
  return await learn(training, program, options);
}

async function inNative(
  { config, weights }: Pick<Subject, 'config'> & { weights: () => readonly HostWeight[] },
  backendOptions: CpuBackendOptions,
): Promise<Outcome> {
  await using backend = createCpuBackend(backendOptions);
  const program = lower(buildProgram(config), backend.supports.trainingOps!);
  const options = optionsFor(program);
  const training = await backend.createTraining(program, handOver(weights()), options);
  return await learn(training, program, options);
}

for (const instructions of availableInstructions()) {
  describe(instructions, () => {
    test.each([...everyVersion, wideSubject('f32')])('$name', async (subject) => {
      const key = subject.name;
      if (!expected.has(key)) expected.set(key, inReference(subject));
      const wanted = await expected.get(key)!;
      const got = await inNative(subject, { instructions });
      expect(difference(got.losses, wanted.losses)).toBeLessThan(1e-5);
      expect(Math.abs(got.norm / wanted.norm - 1)).toBeLessThan(1e-4);
      for (const [name, gradient] of wanted.gradients) {
        expect(difference(got.gradients.get(name)!, gradient), name).toBeLessThan(tolerance);
        const moved = [got, wanted].map(({ values }) => values.get(name)!);
        expect(difference(moved[0]!, moved[1]!), name).toBeLessThan(tolerance);
      }
    });
  });
}

describe.skipIf(!isGoldenThere)(
  isGoldenThere ? 'golden gradients' : `golden gradients (not found at ${goldenFolder})`,
  () => {
    test.each(
      ['hs64', 'hs16-small'].flatMap((model) =>
        [0, 1e-4].map((largestLogitPenalty) => ({ model, largestLogitPenalty })),
      ),
    )('$model, penalty $largestLogitPenalty', async ({ model, largestLogitPenalty }) => {
      const truth = readExpected(goldenPath('v7-train', `expected.${model}.safetensors`));
      const path = goldenPath('v7-train', `train.${model}.fp32.pth`);
      await using file = await openModel(memorySource(readFileSync(path), { name: model }));
      await using backend = createCpuBackend();
      const program = lower(buildProgram(file.config), backend.supports.trainingOps!);
      const tokens = Uint32Array.from(truth.get('idx')!.values);
      const [sequences = 0, length = 0] = truth.get('idx')!.shape;
      const rows = tokens.length;
      const training = await backend.createTraining(program, file.weights(), {
        trainable: program.weights.map(({ name }) => ({ kind: 'weight', name })),
        limits: { tokens: rows, sequences, wanted: rows, slots: sequences },
      });
      const batch = {
        tokens,
        starts: Uint32Array.from({ length: sequences + 1 }, (_, s) => s * length),
        slots: Uint32Array.from({ length: sequences }, (_, s) => s),
        wanted: Uint32Array.from(tokens.keys()),
        targets: Uint32Array.from(truth.get('targets')!.values),
      };
      const loss = await training.accumulate(batch, { scale: 1 / rows, largestLogitPenalty });
      expect(Math.abs(loss / rows - truth.get('loss')!.values[0]!)).toBeLessThan(1e-5);
      const prefix = largestLogitPenalty === 0 ? 'grad.' : 'grad_l2wrap.';
      const names = [...truth.keys()].filter((name) => name.startsWith(prefix));
      expect(names.length).toBeGreaterThan(0);
      for (const name of names) {
        const { weight, isTransposed } = canonical(name.slice(prefix.length));
        const got = await training.read(weight, 'gradient');
        const wanted = truth.get(name)!;
        const values = isTransposed ? transposed(wanted) : wanted.values;
        expect(difference(got, values), name).toBeLessThan(tolerance);
      }
    });
  },
);

/** The official files store low-rank matrices [in, out], under names without `.weight`. */
function canonical(name: string): { weight: string; isTransposed: boolean } {
  const isTransposed = /\.att\.[wavg][12]$/.test(name);
  return { weight: isTransposed ? `${name}.weight` : name, isTransposed };
}

function transposed({ shape, values }: ExpectedTensor): Float64Array {
  const [rows = 0, columns = 0] = shape;
  return values.map((_, at) => values[(at % rows) * columns + Math.floor(at / rows)]!);
}
