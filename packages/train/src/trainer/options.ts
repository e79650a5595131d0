import type { Backend } from '@rwkv-ts/backend';
import type { WritableModel } from '@rwkv-ts/weights';
import type { Checkpoint } from '../checkpoint/read-checkpoint.js';
import type { CheckpointStore } from '../checkpoint/store.js';
import { optionInvalid, requireFinite, requireInteger } from '../errors.js';
import type { TrainingMode } from '../modes/mode.js';
import { type LearningRateSchedule, validateSchedule } from '../optimizer/schedule.js';
import type { CheckpointReport, Evaluation, StepReport } from './reports.js';
import type { SampleStream } from './samples.js';

export interface BatchOptions {
  /** Samples of an update. */
  readonly sequences: number;
  /** Tokens of a sample, at most. */
  readonly context: number;
  /** Samples that run side by side, of which an update accumulates several groups. Default: all. */
  readonly sequencesAtOnce?: number | undefined;
  /** Tokens of a sample that run at once; longer ones run chunk by chunk, with the state carried. Default: `context`. */
  readonly chunk?: number | undefined;
  /** Whether gradients cross the cuts between chunks, which costs a second forward run. Default true. */
  readonly gradientsThroughCuts?: boolean | undefined;
  /** Whether samples may continue those of the update before (`Sample.continues`). Default false. */
  readonly carry?: boolean | undefined;
}

export interface OptimizerOptions {
  readonly learningRate: LearningRateSchedule;
  /** Default 0.9 and 0.99, as the official trainer has them. */
  readonly betas?: readonly [number, number] | undefined;
  /** Default 1e-18, as the official trainer has it. */
  readonly epsilon?: number | undefined;
  /** Default 0.001, as the official trainer has it; it acts on the large matrices alone. */
  readonly weightDecay?: number | undefined;
  /** Gradients are scaled down to this norm. Default 1; `Infinity`: never. */
  readonly gradientNormLimit?: number | undefined;
  /** The official hold on large logits, `L2Wrap`. Default 1e-4. */
  readonly largestLogitPenalty?: number | undefined;
  /** Updates in a row whose gradients are not finite, which are skipped, before the run gives up. Default 10. */
  readonly skippedLimit?: number | undefined;
}

export interface EvaluationOptions {
  /** A stream over held-out data, from its beginning. */
  readonly stream: () => SampleStream;
  /** Samples of it. */
  readonly samples: number;
}

export interface TrainerOptions {
  /** One with `createTraining`; it stays the caller's. */
  readonly backend: Backend;
  /** What to start from: `newModel`, or an opened model file. Read while the trainer is made, and not kept. */
  readonly model: WritableModel;
  /** What learns. Default `fullTraining()`. */
  readonly mode?: TrainingMode | undefined;
  readonly data: SampleStream;
  /** Updates in all, those before a resumed checkpoint included. */
  readonly steps: number;
  readonly batch: BatchOptions;
  readonly optimizer: OptimizerOptions;
  /** Held-out data, for evaluations during and after the run. */
  readonly validation?: EvaluationOptions | undefined;
  /** Evaluates every so many updates, and after the last. Default: after the last alone. */
  readonly evaluateEvery?: number | undefined;
  /** The bytes of text that a token stands for; with it, losses are also told in bits per byte. */
  readonly tokenBytes?: ((token: number) => number) | undefined;
  readonly checkpoints?: CheckpointStore | undefined;
  /** Writes a checkpoint every so many updates, after the last and after an abort. Default: those two alone. */
  readonly checkpointEvery?: number | undefined;
  /** Checkpoints that are kept, the newest. Default 3. */
  readonly keepCheckpoints?: number | undefined;
  /** Where an earlier run of the same kind stood. `data` is the caller's to open at its `position`. */
  readonly resume?: Checkpoint | undefined;
  /** Stops after the update in work; a checkpoint is written. */
  readonly signal?: AbortSignal | undefined;
  /** Called after every update; the run waits for it. */
  readonly onStep?: ((report: StepReport) => void | Promise<void>) | undefined;
  readonly onEvaluation?: ((report: Evaluation) => void | Promise<void>) | undefined;
  readonly onCheckpoint?: ((report: CheckpointReport) => void | Promise<void>) | undefined;
}

/** With every default in its place. */
export interface ResolvedBatch {
  readonly sequences: number;
  readonly context: number;
  readonly sequencesAtOnce: number;
  readonly chunk: number;
  readonly gradientsThroughCuts: boolean;
  readonly carry: boolean;
}

/** @throws TrainError `OPTION_INVALID` */
export function resolveBatch(batch: BatchOptions): ResolvedBatch {
  const { sequences, context, gradientsThroughCuts = true, carry = false } = batch;
  const { sequencesAtOnce = sequences, chunk = context } = batch;
  requireInteger('batch.sequences', sequences, 1);
  requireInteger('batch.context', context, 1);
  requireInteger('batch.sequencesAtOnce', sequencesAtOnce, 1);
  requireInteger('batch.chunk', chunk, 1);
  return {
    sequences,
    context,
    sequencesAtOnce: Math.min(sequencesAtOnce, sequences),
    chunk: Math.min(chunk, context),
    gradientsThroughCuts,
    carry,
  };
}

export type ResolvedOptimizer = {
  readonly [Name in keyof OptimizerOptions]-?: NonNullable<OptimizerOptions[Name]>;
};

/** @throws TrainError `OPTION_INVALID` */
export function resolveOptimizer(options: OptimizerOptions): ResolvedOptimizer {
  const {
    learningRate,
    betas = [0.9, 0.99],
    epsilon = 1e-18,
    weightDecay = 0.001,
    gradientNormLimit = 1,
    largestLogitPenalty = 1e-4,
    skippedLimit = 10,
  } = options;
  validateSchedule(learningRate);
  for (const beta of betas) {
    if (!(beta >= 0 && beta < 1)) throw optionInvalid('optimizer.betas', 'from 0 to below 1', beta);
  }
  if (!(epsilon > 0)) throw optionInvalid('optimizer.epsilon', 'above 0', epsilon);
  requireFinite('optimizer.weightDecay', weightDecay, 0);
  if (!(gradientNormLimit > 0)) {
    throw optionInvalid('optimizer.gradientNormLimit', 'above 0', gradientNormLimit);
  }
  requireFinite('optimizer.largestLogitPenalty', largestLogitPenalty, 0);
  requireInteger('optimizer.skippedLimit', skippedLimit, 1);
  return {
    learningRate,
    betas,
    epsilon,
    weightDecay,
    gradientNormLimit,
    largestLogitPenalty,
    skippedLimit,
  };
}

/** @throws TrainError `OPTION_INVALID` */
export function validateRun(options: TrainerOptions): void {
  requireInteger('steps', options.steps, 0);
  const { evaluateEvery, checkpointEvery, keepCheckpoints, validation } = options;
  const intervals = { evaluateEvery, checkpointEvery, keepCheckpoints };
  for (const [name, value] of Object.entries(intervals)) {
    if (value !== undefined) requireInteger(name, value, 1);
  }
  if (validation) requireInteger('validation.samples', validation.samples, 1);
}
