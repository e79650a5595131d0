/** Steps of training on the CPU backend: how long they take, and where their time goes. */
import type { TrainingBatch } from '@rwkv-ts/backend';
import { type CpuTrainingProfile, createCpuBackend } from '@rwkv-ts/backend-cpu';
import { buildProgram, type RwkvConfig } from '@rwkv-ts/model';
import { lower } from '@rwkv-ts/program';
import { randomWeights } from '../common/random-model.js';
import { median } from '../cpu/statistics.js';

export interface Shape {
  readonly batch: number;
  readonly vocabulary: number;
  readonly context: number;
  readonly channels: number;
  readonly layers: number;
}

export interface Round {
  /** Medians over the steps. */
  readonly stepMilliseconds: number;
  readonly updateMilliseconds: number;
  readonly tokensPerSecond: number;
  readonly threads: number;
  readonly instructions: string;
  /** Of all handles. */
  readonly bytes: number;
  /** Of the steps that were timed, without the optimiser. */
  readonly profile: CpuTrainingProfile;
}

/** The sizes that RWKV-LM gives a model of these channels, but for small ranks. */
export function configOf({ vocabulary, channels, layers }: Shape): RwkvConfig {
  return {
    version: '7',
    layers,
    channels,
    channelMixSize: channels * 4,
    vocabularySize: vocabulary,
    normEpsilon: 1e-5,
    embeddingNorm: 'separate',
    heads: channels / 64,
    headSize: 64,
    headNormEpsilon: 64e-5,
    ranks: { decay: 32, rate: 32, valueResidual: 32, gate: 64 },
  };
}

/** The numbers of matrices that a step multiplies by, without the embedding. */
export function multipliedNumbers(shape: Shape): number {
  return buildProgram(configOf(shape))
    .weights.filter(({ name, shape: sizes }) => sizes.length === 2 && name !== 'emb.weight')
    .filter(({ name }) => !name.endsWith('.r_k'))
    .reduce((sum, { shape: [rows = 0, columns = 0] }) => sum + rows * columns, 0);
}

export async function measureTraining(
  shape: Shape,
  { threads, steps }: { threads: number | undefined; steps: number },
): Promise<Round> {
  const { batch: sequences, context } = shape;
  await using backend = createCpuBackend(threads === undefined ? {} : { threads });
  const program = lower(buildProgram(configOf(shape)), backend.supports.trainingOps!);
  const tokens = sequences * context;
  const training = await backend.createTraining(program, randomWeights(program, 'f32'), {
    trainable: program.weights.map(({ name }) => ({ kind: 'weight', name })),
    limits: { tokens, sequences, wanted: tokens, slots: sequences },
  });
  const batch = batchOf(shape);
  const whole: number[] = [];
  const updates: number[] = [];
  for (let step = 0; step <= steps; step++) {
    // The first one plans, and touches memory for the first time.
    if (step === 1) await training.profile(true);
    const begin = performance.now();
    for (let slot = 0; slot < sequences; slot++) training.resetSlot(slot);
    await training.accumulate(batch, { scale: 1 / tokens });
    const middle = performance.now();
    await training.update({
      step: step + 1,
      learningRate: 1e-4,
      weightDecay: 0.1,
      betas: [0.9, 0.99],
      epsilon: 1e-18,
      gradientNormLimit: 1,
    });
    if (step === 0) continue;
    whole.push(performance.now() - begin);
    updates.push(performance.now() - middle);
  }
  const profile = await training.profile(false);
  const stepMilliseconds = median(whole);
  return {
    stepMilliseconds,
    updateMilliseconds: median(updates),
    tokensPerSecond: (tokens / stepMilliseconds) * 1000,
    threads: backend.threads,
    instructions: backend.instructions,
    bytes: backend.bytes,
    profile,
  };
}

function batchOf({ batch: sequences, context, vocabulary }: Shape): TrainingBatch {
  const tokens = sequences * context;
  const indices = Uint32Array.from({ length: tokens }, (_, index) => index);
  return {
    tokens: indices.map((index) => ((index + 1) * 7919) % vocabulary),
    starts: Uint32Array.from({ length: sequences + 1 }, (_, index) => index * context),
    slots: Uint32Array.from({ length: sequences }, (_, index) => index),
    wanted: indices,
    targets: indices.map((index) => ((index + 2) * 7919) % vocabulary),
  };
}
