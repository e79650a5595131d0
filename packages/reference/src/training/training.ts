import type {
  AccumulateOptions,
  Program,
  Rows,
  Training,
  TrainablePart,
  TrainingBatch,
  TrainingOptions,
  UpdateOptions,
  UpdateResult,
} from '@rwkv-ts/backend';
import {
  requireLive,
  validateAccumulateOptions,
  validateTrainingBatch,
  validateUpdateOptions,
} from '@rwkv-ts/program';
import type { JobQueue } from '../job-queue.js';
import { Holding, type Memory } from '../memory.js';
import type { Precision } from '../numbers.js';
import type { Kernel } from '../ops/context.js';
import type { Form } from '../ops/table.js';
import {
  copySlot,
  copySnapshot,
  createBlocks,
  readSlot,
  requireSlot,
  resetSlot,
  type StateBlock,
  writeSlot,
} from '../state-blocks.js';
import { createStep, loadStep } from '../step.js';
import type { ReferenceWeights } from '../weights.js';
import { crossEntropy } from './cross-entropy.js';
import { createPasses, type Passes } from './passes.js';
import { createTrainables, squaredNorm, type Trainable, updateTrainable } from './trainable.js';

export interface ReferenceTrainingOptions extends TrainingOptions {
  /** Valid, of ops that have a backward, and without candidates. */
  readonly program: Program;
  /** All that the program names, those that learn in the backend's precision; the training's own from now on. */
  readonly weights: ReferenceWeights;
  readonly precision: Precision;
  readonly form: Form;
  readonly chunkSize: number;
  readonly queue: JobQueue;
  readonly memory: Memory;
}

const zeroed = (specs: Program['states']): Program['states'] =>
  specs.map((spec) => ({ ...spec, initial: 0 }));

/** A state may bear the name of a weight that does not learn. */
const weightsAmong = (trainable: ReadonlyMap<string, Trainable>) =>
  new Map([...trainable].filter(([, { spec }]) => spec.kind === 'weight'));

/** The program forwards and backwards, kernel by kernel on the backend's queue. */
export class ReferenceTraining implements Training {
  readonly #queue: JobQueue;
  readonly #holding: Holding;
  readonly #options: Pick<ReferenceTrainingOptions, 'program' | 'limits' | 'weights'>;
  readonly #step = createStep();
  readonly #states: readonly StateBlock[];
  readonly #stateGradients: readonly StateBlock[];
  readonly #trainable: ReadonlyMap<string, Trainable>;
  #passes: Passes | undefined;
  #disposal: Promise<void> | undefined;

  constructor(options: ReferenceTrainingOptions) {
    const { program, weights, precision, queue, memory } = options;
    const limits = { ...options.limits };
    this.#queue = queue;
    this.#options = { program, weights, limits };
    const holding = new Holding(memory);
    this.#holding = holding;
    try {
      const memoryOf = (what: string) => ({ slots: limits.slots, precision, holding, what });
      this.#states = createBlocks(program.states, memoryOf('States'));
      const specs = zeroed(program.states);
      this.#stateGradients = createBlocks(specs, memoryOf('State gradients'));
      for (let slot = 0; slot < limits.slots; slot++) resetSlot(this.#states, slot);
      this.#trainable = createTrainables(options, { states: this.#states, holding });
      this.#passes = createPasses({
        ...options,
        limits,
        step: this.#step,
        holding,
        states: this.#states,
        stateGradients: this.#stateGradients,
        trainable: weightsAmong(this.#trainable),
      });
    } catch (error) {
      holding.release();
      throw error;
    }
  }

  get bytes(): number {
    return this.#holding.bytes + this.#options.weights.bytes;
  }

  get disposed(): boolean {
    return this.#disposal !== undefined;
  }

  async evaluate(batch: TrainingBatch): Promise<number> {
    this.#requireBatch(batch);
    return this.#queue.enqueue(async () => {
      const { output, forward } = this.#load(batch);
      await this.#run(forward);
      return crossEntropy(batch, { logits: output, width: this.#options.program.output.width });
    });
  }

  async accumulate(batch: TrainingBatch, options: AccumulateOptions = {}): Promise<number> {
    this.#requireBatch(batch);
    validateAccumulateOptions(options);
    const { scale = 1, largestLogitPenalty = 0 } = options;
    return this.#queue.enqueue(async () => {
      const { output, outputGradient, forward, backward, keepStates } = this.#load(batch);
      keepStates();
      await this.#run(forward);
      const loss = crossEntropy(batch, {
        logits: output,
        width: this.#options.program.output.width,
        gradient: outputGradient,
        scale,
        largestLogitPenalty,
      });
      await this.#run(backward);
      return loss;
    });
  }

  async update(options: UpdateOptions): Promise<UpdateResult> {
    this.#requireLive();
    validateUpdateOptions(options);
    const copy = structuredClone(options);
    return this.#queue.enqueue(() => this.#update(copy));
  }

  resetSlot(slot: number): void {
    this.#requireSlot(slot);
    this.#queue.enqueueSync(() => {
      resetSlot(this.#states, slot);
      resetSlot(this.#stateGradients, slot);
      for (const { values, size, trainable } of this.#initialStates(this.#states)) {
        values.set(trainable.value, slot * size);
      }
    });
  }

  copyStates(from: number, to: number): void {
    this.#requireSlot(from);
    this.#requireSlot(to);
    this.#queue.enqueueSync(() => {
      copySlot(this.#states, { from, to });
    });
  }

  clearStateGradients(slot: number): void {
    this.#requireSlot(slot);
    this.#queue.enqueueSync(() => {
      resetSlot(this.#stateGradients, slot);
    });
  }

  collectInitialGradients(slot: number): void {
    this.#requireSlot(slot);
    this.#queue.enqueueSync(() => {
      for (const { values, size, trainable } of this.#initialStates(this.#stateGradients)) {
        const { gradient } = trainable;
        for (let at = 0; at < size; at++) gradient[at]! += values[slot * size + at]!;
      }
      resetSlot(this.#stateGradients, slot);
    });
  }

  async readStates(slot: number): Promise<Uint8Array> {
    this.#requireSlot(slot);
    return this.#queue.enqueue(async () => readSlot(this.#states, slot));
  }

  writeStates(slot: number, bytes: Uint8Array): void {
    this.#requireSlot(slot);
    const copy = copySnapshot(this.#states, bytes);
    this.#queue.enqueueSync(() => {
      writeSlot(this.#states, slot, copy);
    });
  }

  async read(name: string, part: TrainablePart): Promise<Rows> {
    const numbers = this.#part(name, part);
    return this.#queue.enqueue(async () => numbers.slice());
  }

  write(name: string, part: TrainablePart, numbers: Rows): void {
    const target = this.#part(name, part);
    if (!(numbers instanceof Float32Array || numbers instanceof Float64Array)) {
      throw new TypeError('Numbers to write must be a Float32Array or a Float64Array.');
    }
    if (numbers.length !== target.length) {
      throw new TypeError(`${name} has ${target.length} numbers, got ${numbers.length}.`);
    }
    const copy = numbers.slice();
    this.#queue.enqueueSync(() => {
      target.set(copy);
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#dispose();
    return this.#disposal;
  }

  async #dispose(): Promise<void> {
    const own = this.#queue.enqueue(async () => {
      this.#passes = undefined;
      this.#holding.release();
    });
    await Promise.all([own, this.#options.weights[Symbol.asyncDispose]()]);
  }

  #load(batch: TrainingBatch): Passes {
    const passes = this.#passes!;
    loadStep(this.#step, batch);
    passes.refresh();
    return passes;
  }

  async #run(kernels: readonly Kernel[]): Promise<void> {
    for (const kernel of kernels) {
      if (this.#queue.shouldYield) await this.#queue.yield();
      kernel();
    }
  }

  async #update(options: UpdateOptions): Promise<UpdateResult> {
    const trainables = [...this.#trainable.values()];
    let squares = 0;
    await this.#run(
      trainables.map(({ gradient }) => () => {
        squares += squaredNorm(gradient);
      }),
    );
    const gradientNorm = Math.sqrt(squares);
    if (!Number.isFinite(gradientNorm)) {
      for (const { gradient } of trainables) gradient.fill(0);
      return { gradientNorm, applied: false };
    }
    const { gradientNormLimit = Infinity } = options;
    const gradientScale = gradientNorm > gradientNormLimit ? gradientNormLimit / gradientNorm : 1;
    await this.#run(
      trainables.map((trainable) => () => {
        updateTrainable(trainable, { ...options, gradientScale });
      }),
    );
    return { gradientNorm, applied: true };
  }

  /** Those of the blocks whose initial numbers learn. */
  #initialStates(blocks: readonly StateBlock[]) {
    return blocks.flatMap((block) => {
      const trainable = this.#trainable.get(block.spec.name);
      return trainable?.spec.kind === 'initial-state' ? [{ ...block, trainable }] : [];
    });
  }

  #part(name: string, part: TrainablePart) {
    this.#requireLive();
    const trainable = this.#trainable.get(name);
    if (!trainable) {
      const names = [...this.#trainable.keys()].join(', ');
      throw new TypeError(`${name} is not trainable; trainable: ${names || 'nothing'}.`);
    }
    if (!parts.has(part)) {
      throw new TypeError(`part must be ${[...parts].join(', ')}, got ${part as string}.`);
    }
    return trainable[part];
  }

  #requireBatch(batch: TrainingBatch): void {
    this.#requireLive();
    const { program, limits } = this.#options;
    validateTrainingBatch(batch, { program, limits });
  }

  #requireSlot(slot: number): void {
    this.#requireLive();
    requireSlot(slot, this.#options.limits.slots);
  }

  #requireLive(): void {
    requireLive(this.disposed, 'training');
  }
}

const parts: ReadonlySet<TrainablePart> = new Set([
  'value',
  'gradient',
  'first-moment',
  'second-moment',
]);
