import type {
  AccumulateOptions,
  Program,
  Rows,
  TrainablePart,
  TrainableSpec,
  Training,
  TrainingBatch,
  TrainingLimits,
  TrainingOptions,
  UpdateOptions,
  UpdateResult,
} from '@rwkv-ts/backend';
import { Holding, nativeError } from '@rwkv-ts/native';
import { requireLive, stateInvalid, validateTrainingBatch } from '@rwkv-ts/program';
import type { Engine } from '../engine.js';
import type { NativeHandle } from '../native.js';
import { CpuStates } from '../states.js';
import type { CpuWeights } from '../weights.js';
import { encodeTraining } from './encode-training.js';
import { countOf } from './graph.js';
import { type InstructionName, instructionNames, trainableParts } from './native-training.js';
import { recurrenceScratch } from './recurrences.js';
import { checkAccumulateOptions, checkUpdateOptions } from './options.js';

/** Where the time of runs went since profiling began. */
export interface CpuTrainingProfile {
  readonly runs: number;
  /** Of all runs, as the clock saw them inside the addon. */
  readonly runMilliseconds: number;
  /** Floating-point operations of products. */
  readonly productOperations: number;
  /** Summed over threads. */
  readonly instructionMilliseconds: Readonly<Record<InstructionName, number>>;
}

/** A training that can also tell where its time goes. */
export interface CpuTraining extends Training {
  /**
   * What was measured of `evaluate` and `accumulate` since the last call with `true`; profiling starts anew, or stops.
   * @throws BackendError `DISPOSED` (as a rejection)
   */
  profile(on: boolean): Promise<CpuTrainingProfile>;
}

export interface CpuTrainingParts {
  /** Valid, and lowered to what can be trained. */
  readonly program: Program;
  /** All that the program names, as plain numbers. Disposed of with the training. */
  readonly weights: CpuWeights;
  readonly options: TrainingOptions;
  readonly threads: number;
}

/** `kThreadScratch` of native/kernels/kernels.h. */
const threadScratch = 2 ** 21;

interface Trainable extends TrainableSpec {
  readonly index: number;
  readonly count: number;
}

/** A program that learns in the addon: one native call per method. */
export class NativeTraining implements CpuTraining {
  readonly #engine: Engine;
  readonly #program: Program;
  readonly #limits: TrainingLimits;
  readonly #weights: CpuWeights;
  readonly #states: CpuStates;
  readonly #stateGradients: CpuStates;
  readonly #holding: Holding;
  readonly #training: NativeHandle;
  readonly #trainables: ReadonlyMap<string, Trainable>;
  #disposal: Promise<void> | undefined;

  static async create(engine: Engine, parts: CpuTrainingParts): Promise<NativeTraining> {
    const { program, weights, options } = parts;
    const slots = options.limits.slots;
    const states = await CpuStates.create(engine, { specs: program.states, slots });
    try {
      const specs = program.states.map((spec) => ({ ...spec, initial: 0 }));
      const stateGradients = await CpuStates.create(engine, { specs, slots });
      try {
        return await NativeTraining.#build(engine, { ...parts, weights, states, stateGradients });
      } catch (error) {
        await stateGradients[Symbol.asyncDispose]();
        throw error;
      }
    } catch (error) {
      await states[Symbol.asyncDispose]();
      throw error;
    }
  }

  static async #build(engine: Engine, parts: BuildParts): Promise<NativeTraining> {
    const { program, weights, states, stateGradients, options, threads } = parts;
    const { limits } = options;
    const encoded = encodeTraining(program, options, {
      weight: (name) => weights.get(name)!.index,
      state: (name) => states.spec(name)!.index,
    });
    const trainables = trainablesOf(program, options);
    const holding = new Holding(engine.memory);
    const bytes =
      encoded.arenaFloats * 4 +
      trainableBytes(trainables) +
      threads * (scratchBytes(program) + encoded.localFloats * 4);
    const training = await holding.allocate({ bytes, what: 'A training' }, () =>
      engine.addon.createTraining(
        engine.handle,
        weights.handle,
        states.handle,
        stateGradients.handle,
        encoded.words,
        encoded.arenaFloats,
        encoded.localFloats,
        limits.tokens,
        limits.sequences,
        limits.wanted,
      ),
    );
    return new NativeTraining(engine, { ...parts, holding, training, trainables });
  }

  private constructor(engine: Engine, parts: BuiltParts) {
    this.#engine = engine;
    this.#program = parts.program;
    this.#limits = { ...parts.options.limits };
    this.#weights = parts.weights;
    this.#states = parts.states;
    this.#stateGradients = parts.stateGradients;
    this.#holding = parts.holding;
    this.#training = parts.training;
    this.#trainables = new Map(parts.trainables.map((each) => [each.name, each]));
  }

  get bytes(): number {
    const handles = [this.#holding, this.#weights, this.#states, this.#stateGradients];
    return handles.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  get disposed(): boolean {
    return this.#disposal !== undefined;
  }

  async evaluate(batch: TrainingBatch): Promise<number> {
    return this.#learn(batch);
  }

  async accumulate(batch: TrainingBatch, options: AccumulateOptions = {}): Promise<number> {
    this.#requireLive();
    return this.#learn(batch, checkAccumulateOptions(options));
  }

  async update(options: UpdateOptions): Promise<UpdateResult> {
    this.#requireLive();
    const { addon, handle } = this.#engine;
    const numbers = checkUpdateOptions(options);
    const [gradientNorm = NaN, applied] = await addon.updateTraining(
      handle,
      this.#training,
      numbers,
    );
    return { gradientNorm, applied: applied === 1 };
  }

  resetSlot(slot: number): void {
    this.#requireSlot(slot);
    const { addon, handle } = this.#engine;
    void addon.resetTrainingSlot(handle, this.#training, slot);
  }

  copyStates(from: number, to: number): void {
    this.#requireSlot(from);
    this.#requireSlot(to);
    this.#states.copy(from, to);
  }

  clearStateGradients(slot: number): void {
    this.#requireSlot(slot);
    this.#stateGradients.reset(slot);
  }

  collectInitialGradients(slot: number): void {
    this.#requireSlot(slot);
    const { addon, handle } = this.#engine;
    void addon.collectInitialGradients(handle, this.#training, slot);
  }

  async readStates(slot: number): Promise<Uint8Array> {
    this.#requireSlot(slot);
    return this.#states.read(slot);
  }

  writeStates(slot: number, bytes: Uint8Array): void {
    this.#requireSlot(slot);
    this.#states.write(slot, bytes);
  }

  async read(name: string, part: TrainablePart): Promise<Rows> {
    this.#requireLive();
    const { index, count } = this.#trainable(name);
    const { addon, handle } = this.#engine;
    const numbers = this.#numbers(count);
    return addon.readTrainable(handle, this.#training, index, partOf(part), numbers);
  }

  write(name: string, part: TrainablePart, numbers: Rows): void {
    this.#requireLive();
    const { index, count } = this.#trainable(name);
    if (!(numbers instanceof Float32Array) && !(numbers instanceof Float64Array)) {
      throw new TypeError(`The numbers of ${name} must be a Float32Array or a Float64Array.`);
    }
    if (numbers.length !== count) {
      throw new TypeError(`${name} has ${count} numbers, got ${numbers.length}.`);
    }
    const { addon, handle } = this.#engine;
    // A copy, because the caller may change its numbers at once.
    const own = this.#numbers(count);
    own.set(numbers);
    void addon.writeTrainable(handle, this.#training, index, partOf(part), own);
  }

  async profile(on: boolean): Promise<CpuTrainingProfile> {
    this.#requireLive();
    const { addon, handle } = this.#engine;
    const numbers = await addon.profileTraining(handle, this.#training, on);
    const [runs = 0, runMilliseconds = 0, productOperations = 0, ...rest] = numbers;
    const pairs = instructionNames.map((name, index) => [name, rest[index] ?? 0] as const);
    const instructionMilliseconds = Object.fromEntries(pairs) as Record<InstructionName, number>;
    return { runs, runMilliseconds, productOperations, instructionMilliseconds };
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#release();
    return this.#disposal;
  }

  async #release(): Promise<void> {
    await this.#engine.addon.releaseTraining(this.#engine.handle, this.#training);
    this.#holding.release();
    const handles = [this.#states, this.#stateGradients, this.#weights];
    await Promise.all(handles.map((handle) => handle[Symbol.asyncDispose]()));
  }

  /** Forward, and backward where there are options for it. */
  async #learn(batch: TrainingBatch, options?: Required<AccumulateOptions>): Promise<number> {
    this.#requireLive();
    validateTrainingBatch(batch, { program: this.#program, limits: this.#limits });
    const { tokens, starts, slots, wanted, targets, lossWeights } = batch;
    const { addon, handle } = this.#engine;
    const { scale = 1, largestLogitPenalty = 0 } = options ?? {};
    try {
      return await addon.learn(
        handle,
        this.#training,
        tokens,
        starts,
        slots,
        wanted,
        targets,
        lossWeights,
        options !== undefined,
        scale,
        largestLogitPenalty,
      );
    } catch (cause) {
      throw nativeError(cause, { what: 'The step', got: this.#holding.bytes });
    }
  }

  #trainable(name: string): Trainable {
    const found = this.#trainables.get(name);
    if (!found) throw new TypeError(`${name} is not among what this training learns.`);
    return found;
  }

  #numbers(count: number): Float32Array {
    try {
      return new Float32Array(count);
    } catch (cause) {
      throw nativeError(cause, { what: 'A copy of a weight', got: count * 4 });
    }
  }

  #requireLive(): void {
    requireLive(this.disposed, 'training');
  }

  #requireSlot(slot: number): void {
    this.#requireLive();
    if (Number.isInteger(slot) && slot >= 0 && slot < this.#limits.slots) return;
    throw stateInvalid('slot', `an integer below ${this.#limits.slots}`, slot);
  }
}

interface BuildParts extends CpuTrainingParts {
  readonly states: CpuStates;
  readonly stateGradients: CpuStates;
}

interface BuiltParts extends BuildParts {
  readonly holding: Holding;
  readonly training: NativeHandle;
  readonly trainables: readonly Trainable[];
}

function trainablesOf(program: Program, { trainable }: TrainingOptions): Trainable[] {
  const shapes = {
    weight: new Map(program.weights.map(({ name, shape }) => [name, shape])),
    'initial-state': new Map(program.states.map(({ name, shape }) => [name, shape])),
  };
  return trainable.map((spec, index) => {
    return { ...spec, index, count: countOf(shapes[spec.kind].get(spec.name) ?? []) };
  });
}

/** Gradients and both moments; of initial states the numbers themselves too. */
function trainableBytes(trainables: readonly Trainable[]): number {
  const line = (count: number) => Math.ceil(count / 16) * 64;
  return trainables.reduce(
    (sum, { kind, count }) => sum + line(count) * (kind === 'weight' ? 3 : 4),
    0,
  );
}

/** What a thread has for itself, beside rows of blocks. */
function scratchBytes({ ops }: Program): number {
  const sizes = ops.flatMap((op) =>
    op.kind === 'wkv6' || op.kind === 'wkv7' ? [op.out.width / op.heads] : [],
  );
  return Math.max(threadScratch, ...sizes.map(recurrenceScratch));
}

function partOf(part: TrainablePart): number {
  const index = trainableParts.indexOf(part);
  if (index >= 0) return index;
  throw new TypeError(`A part is one of ${trainableParts.join(', ')}, got ${part as string}.`);
}
