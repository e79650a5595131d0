/** From a model and a mode to a `Training` on the backend, at the beginning or where a checkpoint stood. */
import type { Backend, HostWeight, Program, Training, TrainingLimits } from '@rwkv-ts/backend';
import { lower } from '@rwkv-ts/program';
import type { Fingerprint, WritableModel } from '@rwkv-ts/weights';
import type { Checkpoint } from '../checkpoint/read-checkpoint.js';
import { hashOf } from '../checkpoint/state.js';
import { laneName, tensorName, type TrainableShape } from '../checkpoint/write-checkpoint.js';
import { TrainError } from '../errors.js';
import type { ModePlan, TrainingMode } from '../modes/mode.js';
import { bytesOfRows, f32Of } from '../numbers.js';
import type { ResolvedBatch } from './options.js';

/** What a slot is for. */
export interface SlotPlan {
  /** For samples in work: one for each lane where states are carried, else for each of those that run at once. */
  readonly lanes: number;
  /** For states before each chunk: chunk c of lane i of a group in `kept[c · sequencesAtOnce + i]`. */
  readonly kept: number;
  /** For evaluation, which must not touch carried states. */
  readonly evaluation: number;
}

export function planSlots(batch: ResolvedBatch): SlotPlan {
  const { sequences, sequencesAtOnce, carry, context, chunk, gradientsThroughCuts } = batch;
  const chunks = Math.ceil(context / chunk);
  return {
    lanes: carry ? sequences : sequencesAtOnce,
    kept: gradientsThroughCuts && chunks > 1 ? chunks * sequencesAtOnce : 0,
    evaluation: carry ? sequencesAtOnce : 0,
  };
}

export interface CreateTrainingInput {
  readonly backend: Backend;
  readonly model: WritableModel;
  readonly plan: ModePlan;
  readonly batch: ResolvedBatch;
  readonly slots: SlotPlan;
  /** Hears of every weight of the model, where given. */
  readonly fingerprint?: Fingerprint | undefined;
}

/**
 * @throws TrainError `BACKEND_UNSUPPORTED`
 * @throws BackendError as `createTraining`
 */
export async function createTraining({
  backend,
  model,
  plan,
  batch,
  slots,
  fingerprint,
}: CreateTrainingInput): Promise<Training> {
  const ops = backend.supports.trainingOps;
  if (backend.createTraining === undefined || ops === undefined) {
    throw new TrainError({
      code: 'BACKEND_UNSUPPORTED',
      message: `The backend ${backend.name} cannot train.`,
      expected: 'a backend with createTraining',
      got: backend.name,
    });
  }
  const tokens = batch.sequencesAtOnce * batch.chunk;
  const limits: TrainingLimits = {
    tokens,
    wanted: tokens,
    sequences: batch.sequencesAtOnce,
    slots: slots.lanes + slots.kept + slots.evaluation,
  };
  const weights = weightsOf({ backend, model, plan, fingerprint });
  const { trainable } = plan;
  return backend.createTraining(lower(plan.program, ops), weights, { trainable, limits });
}

async function* weightsOf({
  backend,
  model,
  plan,
  fingerprint,
}: Omit<CreateTrainingInput, 'batch' | 'slots'>): AsyncGenerator<HostWeight> {
  const claimed = backend.supports.weightFormats;
  // A `ModelFile` converts what the backend does not claim; other models ignore the option.
  const weights: (options: {
    readonly claimed: typeof claimed;
    readonly signal?: AbortSignal;
  }) => AsyncIterable<HostWeight> = model.weights.bind(model);
  for await (const weight of weights({ claimed })) {
    fingerprint?.add(weight);
    yield weight;
  }
  yield* plan.added;
}

/** The trainable ones with their shapes. */
export function shapesOf(program: Program, plan: ModePlan): readonly TrainableShape[] {
  const shapes = new Map(
    [...program.weights, ...program.states].map(({ name, shape }) => [name, shape]),
  );
  return plan.trainable.map((spec) => ({ ...spec, shape: shapes.get(spec.name)! }));
}

export async function configHash(model: WritableModel, mode: TrainingMode): Promise<string> {
  const { kind, settings } = mode;
  return hashOf({ config: model.config, mode: { kind, settings } });
}

/** @throws TrainError `CHECKPOINT_MISMATCH` for a base with other weights */
export function requireSameBase({ state }: Checkpoint, base: string | undefined): void {
  if (state.base === base) return;
  throw new TrainError({
    code: 'CHECKPOINT_MISMATCH',
    message: `The checkpoint of step ${state.step} was made with another base model, or with another copy of it.`,
    expected: state.base,
    got: base,
  });
}

/** @throws TrainError `CHECKPOINT_MISMATCH` for a checkpoint of another model or mode */
export async function requireSameRun(
  { state }: Checkpoint,
  { model, mode }: { readonly model: WritableModel; readonly mode: TrainingMode },
): Promise<void> {
  const expected = await configHash(model, mode);
  if (state.configHash === expected) return;
  const what =
    state.mode.kind === mode.kind
      ? 'a model of another configuration or of other settings'
      : `a training of the kind ${state.mode.kind}, and this is ${mode.kind}`;
  throw new TrainError({
    code: 'CHECKPOINT_MISMATCH',
    message: `The checkpoint of step ${state.step} is of ${what}.`,
    expected,
    got: state.configHash,
  });
}

export interface RestoreInput {
  readonly training: Training;
  readonly trainables: readonly TrainableShape[];
  readonly lanes: number;
  readonly precision: 'f32' | 'f64';
}

/** Puts values, moments and carried states back. */
export async function restore(checkpoint: Checkpoint, input: RestoreInput): Promise<void> {
  const { training, trainables, precision } = input;
  for (const { name, shape } of trainables) {
    const count = shape.reduce((product, size) => product * size, 1);
    for (const part of ['value', 'first-moment', 'second-moment'] as const) {
      const stored = tensorName(name, part);
      if (part === 'value' && !checkpoint.has(stored)) continue;
      const rows = await checkpoint.read(stored, count);
      training.write(name, part, precision === 'f64' ? Float64Array.from(rows) : f32Of(rows));
    }
  }
  for (let lane = 0; lane < Math.min(input.lanes, checkpoint.state.lanes); lane++) {
    const { length } = await training.readStates(lane);
    training.writeStates(lane, bytesOfRows(await checkpoint.read(laneName(lane), length / 4)));
  }
}
