/** A training of a program on a fresh backend, its batches, and central differences of its loss. */
import type {
  Program,
  TrainableSpec,
  Training,
  TrainingBatch,
  TrainingLimits,
} from '@rwkv-ts/backend';
import { lower } from '@rwkv-ts/program';
import { createReferenceBackend, type ReferenceBackendOptions } from '../src/index.js';
import { createRandom, hostWeights, type NamedWeights, randomWeights } from './random.js';

export const trainingLimits: TrainingLimits = { tokens: 64, sequences: 6, wanted: 64, slots: 8 };

/** Every weight and every state. */
export function everything(program: Program): TrainableSpec[] {
  const weights = program.weights.map(({ name }) => ({ kind: 'weight', name }) as const);
  const states = program.states.map(({ name }) => ({ kind: 'initial-state', name }) as const);
  return [...weights, ...states];
}

export interface TrainingSession {
  readonly program: Program;
  readonly training: Training;
  readonly trainable: readonly TrainableSpec[];
}

export interface SessionParts {
  readonly program: Program;
  readonly weights?: NamedWeights;
  /** Default everything. */
  readonly trainable?: readonly TrainableSpec[];
  readonly limits?: TrainingLimits;
}

/** Lowers the program, trains, and disposes of everything when `use` is done. */
export async function withTraining<Result>(
  options: ReferenceBackendOptions,
  { program, weights, trainable, limits = trainingLimits }: SessionParts,
  use: (session: TrainingSession) => Promise<Result>,
): Promise<Result> {
  await using backend = createReferenceBackend(options);
  const lowered = lower(program, backend.supports.trainingOps!);
  const values = weights ?? randomWeights(lowered);
  const learns = trainable ?? everything(lowered);
  const training = await backend.createTraining(lowered, hostWeights(lowered, values), {
    trainable: learns,
    limits,
  });
  return await use({ program: lowered, training, trainable: learns });
}

/** One sequence of a batch. */
export interface TrainingPart {
  readonly slot: number;
  readonly tokens: readonly number[];
  /** What each token should make likely. Default: the next token, and 0 after the last. */
  readonly targets?: readonly number[];
  /** Whether each row is wanted. Default all. */
  readonly wanted?: readonly boolean[];
  /** The weight of each wanted row. Default 1. */
  readonly lossWeights?: readonly number[];
}

export function trainingBatch(...parts: readonly TrainingPart[]): TrainingBatch {
  const rows = parts.flatMap(({ tokens, targets, wanted, lossWeights }) =>
    tokens.map((token, t) => ({
      token,
      target: targets?.[t] ?? tokens[t + 1] ?? 0,
      isWanted: wanted?.[t] ?? true,
      weight: lossWeights?.[t] ?? 1,
    })),
  );
  const starts = [0];
  for (const { tokens } of parts) starts.push(starts.at(-1)! + tokens.length);
  const indices = [...rows.keys()].filter((row) => rows[row]!.isWanted);
  return {
    tokens: Uint32Array.from(rows, ({ token }) => token),
    starts: Uint32Array.from(starts),
    slots: Uint32Array.from(parts, ({ slot }) => slot),
    wanted: Uint32Array.from(indices),
    targets: Uint32Array.from(indices, (row) => rows[row]!.target),
    lossWeights: Float32Array.from(indices, (row) => rows[row]!.weight),
  };
}

export function randomTokens(count: number, { below, seed }: { below: number; seed: number }) {
  const random = createRandom(seed);
  return Array.from({ length: count }, () => Math.floor(random() * below));
}

/** A snapshot for any program: numbers within ±1, whose f32 are exact. */
export function randomSnapshot(program: Program, seed: number): Uint8Array {
  const random = createRandom(seed);
  const count = program.states.reduce(
    (sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1),
    0,
  );
  // RWKV-4 divides by its second sum, which is a sum of exponentials.
  const isPositive = program.ops.some(({ kind }) => kind === 'wkv4');
  const numbers = Float32Array.from({ length: count }, () =>
    isPositive ? 0.2 + random() : 2 * random() - 1,
  );
  return new Uint8Array(numbers.buffer);
}

/** Random numbers for every initial state; for RWKV-4 sums and exponents as they come about. */
export function writeInitialStates({ training, program }: TrainingSession, seed: number): void {
  const snapshot = new Float32Array(randomSnapshot(program, seed).buffer);
  let at = 0;
  for (const { name, shape } of program.states) {
    const count = shape.reduce((product, size) => product * size, 1);
    training.write(name, 'value', snapshot.subarray(at, (at += count)));
  }
}

/**
 * dL/dx from two central differences, whose errors of second order cancel (Richardson):
 * (4 D(h) - D(2h)) / 3 with D(h) = (L(x+h) - L(x-h)) / 2h. What is left is of fourth order in h, which 1e-5 makes
 * smaller than what rounding leaves, about 1e-16 L / h; and steps so small seldom cross the bend of relu².
 */
export async function centralDifference(
  lossAt: (offset: number) => Promise<number>,
  step = 1e-5,
): Promise<number> {
  const slope = async (h: number): Promise<number> =>
    ((await lossAt(h)) - (await lossAt(-h))) / (2 * h);
  return (4 * (await slope(step)) - (await slope(2 * step))) / 3;
}

export interface GradientCheck {
  readonly name: string;
  /** Computes the loss from what the training now holds. */
  readonly loss: () => Promise<number>;
  /** How many numbers, from the first, may have a gradient. Default all. */
  readonly count?: number;
}

/**
 * The largest error of a trainable's gradient beside central differences, over all its numbers: relative to the gradient
 * of each number, or to a hundredth of the largest one in the tensor where that is more, since rounding of the loss leaves
 * about as much in every difference. Infinite where every gradient is zero, which a test would not want.
 */
export async function gradientError(
  training: Training,
  { name, loss, count = Infinity }: GradientCheck,
): Promise<number> {
  const gradient = Float64Array.from(await training.read(name, 'gradient'));
  const value = await training.read(name, 'value');
  const largest = gradient.reduce((most, number) => Math.max(most, Math.abs(number)), 0);
  if (!(largest > 0) || gradient.subarray(count).some((number) => number !== 0)) return Infinity;
  let worst = 0;
  for (const [at, got] of gradient.subarray(0, count).entries()) {
    const numbers = Float64Array.from(value);
    const expected = await centralDifference((offset) => {
      numbers[at] = value[at]! + offset;
      training.write(name, 'value', numbers);
      return loss();
    });
    const error = Math.abs(got - expected) / Math.max(Math.abs(expected), largest / 100);
    if (!(error <= worst)) worst = Number.isNaN(error) ? Infinity : error;
  }
  training.write(name, 'value', value);
  return worst;
}
