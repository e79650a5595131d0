/** A training opened on a backend, the oracle's beside it, and the comparison of what the two hold. */
import type {
  Backend,
  HostWeight,
  OpKind,
  Program,
  StateSpec,
  TrainablePart,
  TrainableSpec,
  Training,
  TrainingBatch,
  TrainingLimits,
} from '@rwkv-ts/backend';
import { lower } from '@rwkv-ts/program';
import { createReferenceBackend } from '@rwkv-ts/reference';
import { Random } from '../../src/random.js';
import { assertClose } from '../assert.js';
import { batchOf, type Sequence } from '../batches.js';
import { handOver, numbersOf, unclaimedKinds } from '../session.js';
import type { Bound } from '../tolerance.js';
import type { CaseContext } from '../types.js';

/** A backend that trains. */
export type TrainingBackend = Backend & Required<Pick<Backend, 'createTraining'>>;

export const trainingLimits: TrainingLimits = { tokens: 40, sequences: 4, wanted: 40, slots: 8 };

/** Ends the case as not applicable where the backend does not train, or lacks what `programs` are made of. */
export function requireTraining(
  { backend, skip }: CaseContext,
  ...programs: readonly Program[]
): TrainingBackend {
  if (!backend.createTraining) skip('the backend has no createTraining');
  for (const program of programs) {
    const missing = unclaimedKinds(trainingClaims(backend), program);
    if (missing.length > 0) skip(`supports.trainingOps does not claim ${missing.join(', ')}`);
  }
  return backend as TrainingBackend;
}

/** What a backend claims, with the ops it trains for those it runs. */
export function trainingClaims({ supports }: Backend): Pick<Backend, 'supports'> {
  return { supports: { ...supports, ops: supports.trainingOps ?? new Set<OpKind>() } };
}

/** Every weight and every initial state. */
export function everything({ weights, states }: Program): TrainableSpec[] {
  return [
    ...weights.map(({ name }) => ({ kind: 'weight', name }) as const),
    ...states.map(({ name }) => ({ kind: 'initial-state', name }) as const),
  ];
}

export interface OpenTrainingOptions {
  readonly program: Program;
  readonly weights: readonly HostWeight[];
  /** Default everything. */
  readonly trainable?: readonly TrainableSpec[];
  readonly limits?: TrainingLimits;
}

/** Rewrites what the backend does not claim, and creates the training. */
export function openTraining(
  backend: TrainingBackend,
  { program, weights, trainable, limits }: OpenTrainingOptions,
): Promise<Training> {
  return backend.createTraining(lower(program, backend.supports.trainingOps!), handOver(weights), {
    trainable: trainable ?? everything(program),
    limits: limits ?? trainingLimits,
  });
}

/** The same training on the backend and on the f64 reference. */
export interface TrainingPair extends AsyncDisposable {
  readonly program: Program;
  readonly trainable: readonly TrainableSpec[];
  readonly device: Training;
  readonly oracle: Training;
  /** Does the same on both, the oracle first; gives the numbers both answered with. */
  both<Answer>(action: (training: Training) => Answer): Promise<Pair<Awaited<Answer>>>;
}

export interface Pair<Answer> {
  readonly got: Answer;
  readonly want: Answer;
}

export async function openPair(
  backend: TrainingBackend,
  options: OpenTrainingOptions,
): Promise<TrainingPair> {
  const reference = createReferenceBackend({ precision: 'f64' });
  const [oracle, device] = [
    await openTraining(reference, options),
    await openTraining(backend, options),
  ];
  return {
    program: options.program,
    trainable: options.trainable ?? everything(options.program),
    device,
    oracle,
    both: async (action) => {
      const want = await action(oracle);
      return { want, got: await action(device) };
    },
    [Symbol.asyncDispose]: async () => {
      await device[Symbol.asyncDispose]();
      await reference[Symbol.asyncDispose]();
    },
  };
}

/** `wanted` as in `batchOf`; targets are random, and so are the rows' weights where they are asked for. */
export function trainingBatchOf(
  sequences: readonly Sequence[],
  options: {
    readonly outputs: number;
    readonly wanted?: readonly number[] | 'all' | 'last';
    readonly weighted?: true;
    readonly seed?: number;
  },
): TrainingBatch {
  const { outputs, wanted = 'all', weighted, seed = 5 } = options;
  const batch = batchOf(sequences, wanted);
  const random = new Random(seed, 'targets');
  const targets = Uint32Array.from(batch.wanted, () => random.integer(outputs));
  if (!weighted) return { ...batch, targets };
  // Some rows count nothing, though they are wanted.
  const weight = () => (random.uniform() < 0.2 ? 0 : 0.25 + random.uniform());
  return { ...batch, targets, lossWeights: Float32Array.from(batch.wanted, weight) };
}

export interface ComparisonOptions {
  readonly bound: Bound;
  readonly where: string;
}

/**
 * One part of every trainable, each relative to its largest number, or to a ten thousandth of the largest anywhere: what
 * is zero on paper is what rounding left of larger numbers.
 */
export async function comparePart(
  { device, oracle, trainable, program }: TrainingPair,
  part: TrainablePart,
  { bound, where }: ComparisonOptions,
): Promise<void> {
  const wanted = new Map<string, Float64Array>();
  for (const { name } of trainable) {
    wanted.set(name, Float64Array.from(await oracle.read(name, part)));
  }
  const largest = Math.max(0, ...[...wanted.values()].map(largestOf));
  for (const [name, want] of wanted) {
    const rows = rowsOf(program.states.find((state) => state.name === name));
    assertClose({
      got: await device.read(name, part),
      want,
      width: want.length / rows,
      bound,
      floor: new Float64Array(rows).fill(1e-4 * largest),
      where: `${where}, ${part} of ${name}`,
    });
  }
}

const largestOf = (numbers: Float64Array): number =>
  numbers.reduce((largest, number) => Math.max(largest, Math.abs(number)), 0);

/** Rows with initial values of their own are quantities of their own (v4's sums and exponent), so scales too. */
const rowsOf = (spec: StateSpec | undefined): number =>
  spec === undefined || typeof spec.initial === 'number' ? 1 : spec.initial.length;

/** The states of a slot, each relative to its largest number. */
export async function compareStates(
  { device, oracle, program }: TrainingPair,
  slot: number,
  { bound, where }: ComparisonOptions,
): Promise<void> {
  const [got, want] = [
    numbersOf(await device.readStates(slot)),
    numbersOf(await oracle.readStates(slot)),
  ];
  let at = 0;
  for (const spec of program.states) {
    const size = spec.shape.reduce((total, length) => total * length, 1);
    assertClose({
      got: got.subarray(at, at + size),
      want: want.subarray(at, at + size),
      width: size / rowsOf(spec),
      bound,
      where: `${where}, state ${spec.name} of slot ${slot}`,
    });
    at += size;
  }
}

/** Losses: relative to themselves, or to 1 where they are smaller. */
export function compareLosses(
  { got, want }: Pair<readonly number[]>,
  { bound, where }: ComparisonOptions,
): void {
  for (const [index, loss] of want.entries()) {
    assertClose({
      got: Float64Array.of(got[index]!),
      want: Float64Array.of(loss),
      width: 1,
      bound,
      floor: [1],
      where: `${where}, loss ${index}`,
    });
  }
}
