import type { Training } from '@rwkv-ts/backend';
import { createFingerprint, type WritableModel } from '@rwkv-ts/weights';
import { stateVersion, type TrainingState } from '../checkpoint/state.js';
import { type TrainableShape, writeCheckpoint } from '../checkpoint/write-checkpoint.js';
import { TrainError } from '../errors.js';
import { fullTraining } from '../modes/full.js';
import type { LearnedFile, ModePlan, TrainedModel, TrainingMode } from '../modes/mode.js';
import { f32Of } from '../numbers.js';
import { learningRateAt } from '../optimizer/schedule.js';
import { countedLength, type Lane } from './chunk-batch.js';
import {
  configHash,
  createTraining,
  planSlots,
  requireSameBase,
  requireSameRun,
  restore,
  shapesOf,
  type SlotPlan,
} from './create-training.js';
import {
  type EvaluationOptions,
  resolveBatch,
  type ResolvedBatch,
  type ResolvedOptimizer,
  resolveOptimizer,
  type TrainerOptions,
  validateRun,
} from './options.js';
import { evaluateLanes, learnLanes } from './passes.js';
import { LossSum } from './loss-sum.js';
import type { Evaluation, RunReport, StepReport } from './reports.js';
import { checkSample, type Sample } from './samples.js';

interface Parts {
  readonly options: TrainerOptions;
  readonly batch: ResolvedBatch;
  readonly optimizer: ResolvedOptimizer;
  readonly mode: TrainingMode;
  readonly plan: ModePlan;
  readonly slots: SlotPlan;
  readonly training: Training;
  readonly trainables: readonly TrainableShape[];
  readonly hash: string;
  /** The fingerprint of the frozen base. */
  readonly base: string | undefined;
}

/**
 * Makes a trainer: uploads the model, or what a checkpoint says of it.
 * @throws TrainError `OPTION_INVALID`, `BACKEND_UNSUPPORTED`, `MODE_UNSUPPORTED`, `CHECKPOINT_INVALID`,
 * `CHECKPOINT_MISMATCH`; BackendError as `createTraining` of the backend; WeightsError what reading the model throws
 */
export async function createTrainer(options: TrainerOptions): Promise<Trainer> {
  validateRun(options);
  const batch = resolveBatch(options.batch);
  const optimizer = resolveOptimizer(options.optimizer);
  const { backend, model, mode = fullTraining(), resume } = options;
  const plan = mode.plan(model.config);
  const slots = planSlots(batch);
  if (resume) await requireSameRun(resume, { model, mode });
  await using learned = mode.kind === 'full' ? await resume?.openModel() : undefined;
  const fingerprint = mode.kind === 'full' ? undefined : createFingerprint(model.config);
  const training = await createTraining({
    backend,
    model: learned ?? model,
    plan,
    batch,
    slots,
    fingerprint,
  });
  try {
    const base = fingerprint?.digest();
    if (resume) requireSameBase(resume, base);
    for (const [name, values] of resume ? [] : (plan.start ?? [])) {
      const isWide = precisionOf(options) === 'f64';
      training.write(name, 'value', isWide ? Float64Array.from(values) : values);
    }
    const trainables = shapesOf(plan.program, plan);
    const precision = precisionOf(options);
    if (resume) await restore(resume, { training, trainables, lanes: slots.lanes, precision });
    const hash = await configHash(model, mode);
    return new Trainer(
      { options, batch, optimizer, mode, plan, slots, training, trainables, hash, base },
      resume?.state,
    );
  } catch (error) {
    await training[Symbol.asyncDispose]();
    throw error;
  }
}

/** A function, because it may change between two looks. */
function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

function precisionOf({ backend }: TrainerOptions): 'f32' | 'f64' {
  return backend.supports.activations === 'f64' ? 'f64' : 'f32';
}

/** A model that learns. Calls must not overlap; the data and the backend stay the caller's. */
export class Trainer implements AsyncDisposable {
  readonly #parts: Parts;
  #step: number;
  #applied: number;
  #tokensTotal: number;
  #position: unknown;
  #skipped = 0;
  #skippedInARow = 0;
  /** The next update's samples, fetched while the device was busy. */
  #ahead: Promise<readonly Sample[]> | undefined;

  constructor(parts: Parts, state?: TrainingState) {
    this.#parts = parts;
    this.#step = state?.step ?? 0;
    this.#applied = state?.applied ?? 0;
    this.#tokensTotal = state?.tokensTotal ?? 0;
    this.#position = state?.position ?? parts.options.data.position();
  }

  /** Updates done, skipped ones and those of earlier runs included. */
  get step(): number {
    return this.#step;
  }

  /** What the backend holds. */
  get bytes(): number {
    return this.#parts.training.bytes;
  }

  /** The model as it stands: all its weights, for writing it or generating from it. */
  get model(): WritableModel {
    return this.#parts.plan.merged(this.#trainedModel);
  }

  /** Where initial states learn: as they stand, by the program's state names. */
  async initialStates(): Promise<ReadonlyMap<string, Float32Array> | undefined> {
    return this.#parts.plan.states?.(this.#trainedModel);
  }

  /** The file for users: the model, the adapter or the states as they stand. */
  get learned(): LearnedFile {
    return this.#parts.plan.learned(this.#trainedModel);
  }

  get #trainedModel(): TrainedModel {
    const { training, options } = this.#parts;
    return {
      base: options.model,
      read: async (name) => f32Of(await training.read(name, 'value')),
    };
  }

  /**
   * Updates until `steps` are done or the signal fires, with evaluations and checkpoints in between.
   * @throws TrainError `DIVERGED`, `SAMPLE_INVALID`, `CHECKPOINT_FAILED`; what the data and the backend throw
   */
  async run(): Promise<RunReport> {
    const { options } = this.#parts;
    const { steps, validation, checkpoints, signal } = options;
    let last: StepReport | undefined;
    let evaluation: Evaluation | undefined;
    let saved = -1;
    while (this.#step < steps && !isAborted(signal)) {
      last = await this.#update();
      await options.onStep?.(last);
      const isLast = this.#step >= steps;
      if (validation && !isAborted(signal) && (isLast || this.#isDue(options.evaluateEvery))) {
        evaluation = await this.evaluate(validation);
        await options.onEvaluation?.(evaluation);
      }
      if (checkpoints && this.#isDue(options.checkpointEvery)) {
        await this.saveCheckpoint();
        saved = this.#step;
      }
    }
    if (checkpoints && saved !== this.#step && last) await this.saveCheckpoint();
    return {
      outcome: this.#step >= steps ? 'finished' : 'aborted',
      step: this.#step,
      tokensTotal: this.#tokensTotal,
      skipped: this.#skipped,
      loss: last?.loss,
      evaluation,
    };
  }

  #isDue(every: number | undefined): boolean {
    return every !== undefined && this.#step % every === 0;
  }

  async #update(): Promise<StepReport> {
    const { options, batch, optimizer, training } = this.#parts;
    const begin = performance.now();
    const samples = await (this.#ahead ?? this.#fetch());
    this.#ahead = undefined;
    const sum = new LossSum(options.tokenBytes);
    for (const sample of samples) sum.add(sample);
    const accumulate = {
      scale: sum.weight > 0 ? 1 / sum.weight : 0,
      largestLogitPenalty: optimizer.largestLogitPenalty,
    };
    let loss = 0;
    for (let first = 0; first < samples.length; first += batch.sequencesAtOnce) {
      const running = this.#learn(samples.slice(first, first + batch.sequencesAtOnce), {
        first,
        accumulate,
      });
      if (first === 0 && this.#step + 1 < options.steps) this.#fetchAhead();
      loss += await running;
    }
    const learningRate = learningRateAt(optimizer.learningRate, {
      step: this.#step,
      steps: options.steps,
    });
    const { betas, epsilon, weightDecay, gradientNormLimit } = optimizer;
    const { gradientNorm, applied } = await training.update({
      step: this.#applied + 1,
      learningRate,
      weightDecay,
      betas,
      epsilon,
      ...(gradientNormLimit === Infinity ? {} : { gradientNormLimit }),
    });
    this.#step++;
    this.#position = options.data.position(samples.at(-1));
    const tokens = samples.reduce((total, sample) => total + sample.tokens.length, 0);
    this.#tokensTotal += tokens;
    this.#count(applied, gradientNorm);
    const seconds = (performance.now() - begin) / 1000;
    return {
      step: this.#step,
      steps: options.steps,
      ...sum.mean(loss),
      learningRate,
      gradientNorm,
      applied,
      tokens,
      tokensTotal: this.#tokensTotal,
      seconds,
      tokensPerSecond: tokens / Math.max(seconds, 1e-9),
    };
  }

  /** @throws TrainError `DIVERGED` after too many updates in a row that did not take effect */
  #count(applied: boolean, gradientNorm: number): void {
    const { skippedLimit } = this.#parts.optimizer;
    if (applied) {
      this.#applied++;
      this.#skippedInARow = 0;
      return;
    }
    this.#skipped++;
    this.#skippedInARow++;
    if (this.#skippedInARow < skippedLimit) return;
    throw new TrainError({
      code: 'DIVERGED',
      message: `The gradients of ${this.#skippedInARow} updates in a row, up to update ${this.#step}, were not finite. Go on from a checkpoint before them with a lower learning rate.`,
      expected: 'finite gradients',
      got: gradientNorm,
    });
  }

  async #learn(
    samples: readonly Sample[],
    {
      first,
      accumulate,
    }: {
      readonly first: number;
      readonly accumulate: { readonly scale: number; readonly largestLogitPenalty: number };
    },
  ): Promise<number> {
    const { batch, slots, training, plan } = this.#parts;
    const lanes = samples.map((sample, index): Lane => {
      const slot = batch.carry ? first + index : index;
      if (!(batch.carry && sample.continues === true)) training.resetSlot(slot);
      const length = batch.carry ? sample.tokens.length : countedLength(sample);
      return { sample: batch.carry ? sample : { ...sample, continues: false }, slot, length };
    });
    return learnLanes(lanes, {
      training,
      chunk: batch.chunk,
      accumulate,
      kept:
        slots.kept > 0
          ? Array.from({ length: slots.kept }, (_, index) => slots.lanes + index)
          : undefined,
      initial: plan.trainable.some(({ kind }) => kind === 'initial-state'),
    });
  }

  async #fetch(): Promise<readonly Sample[]> {
    const { options, batch } = this.#parts;
    const { vocabularySize } = options.model.config;
    const samples: Sample[] = [];
    while (samples.length < batch.sequences) {
      const sample = await options.data.next();
      checkSample(sample, { context: batch.context, vocabularySize });
      samples.push(sample);
    }
    return samples;
  }

  #fetchAhead(): void {
    this.#ahead = this.#fetch();
    // It is awaited by the next update; a failure before that is no unhandled one.
    this.#ahead.catch(() => undefined);
  }

  /** The loss on held-out data; nothing learns. Carried states are not touched. */
  async evaluate({ stream, samples }: EvaluationOptions): Promise<Evaluation> {
    const { batch, slots, training, options } = this.#parts;
    const { vocabularySize } = options.model.config;
    const source = stream();
    const sum = new LossSum(options.tokenBytes);
    let loss = 0;
    for (let done = 0; done < samples; done += batch.sequencesAtOnce) {
      const lanes: Lane[] = [];
      while (lanes.length < Math.min(batch.sequencesAtOnce, samples - done)) {
        const sample = await source.next();
        checkSample(sample, { context: batch.context, vocabularySize });
        const slot = (slots.evaluation > 0 ? slots.lanes + slots.kept : 0) + lanes.length;
        training.resetSlot(slot);
        sum.add(sample);
        lanes.push({ sample, slot, length: countedLength(sample) });
      }
      loss += await evaluateLanes(lanes, { training, chunk: batch.chunk });
    }
    return { step: this.#step, samples, tokens: sum.tokens, ...sum.mean(loss) };
  }

  /**
   * Writes a checkpoint of where the run stands.
   * @throws TrainError `CHECKPOINT_FAILED`; TypeError without `checkpoints`
   */
  async saveCheckpoint(): Promise<void> {
    const { options, mode, slots, batch, training, trainables, hash, base } = this.#parts;
    const { checkpoints, model, keepCheckpoints = 3 } = options;
    if (checkpoints === undefined) throw new TypeError('The trainer was given no checkpoints.');
    const { learned } = this;
    const precision = precisionOf(options);
    const { kind, settings } = mode;
    const name = await writeCheckpoint({
      store: checkpoints,
      training,
      trainables,
      precision,
      values: kind !== 'full' || precision === 'f64',
      learned,
      keep: keepCheckpoints,
      state: {
        version: stateVersion,
        step: this.#step,
        applied: this.#applied,
        tokensTotal: this.#tokensTotal,
        position: this.#position,
        mode: { kind, settings },
        config: model.config,
        configHash: hash,
        ...(base === undefined ? {} : { base }),
        learned: learned.name,
        lanes: batch.carry ? slots.lanes : 0,
      },
    });
    await options.onCheckpoint?.({ step: this.#step, name });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ahead?.catch(() => undefined);
    await this.#parts.training[Symbol.asyncDispose]();
  }
}
