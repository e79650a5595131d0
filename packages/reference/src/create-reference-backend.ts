import {
  type Backend,
  type BackendSupports,
  type Bindings,
  type Executable,
  type HostWeight,
  type Limits,
  type OpKind,
  type Program,
  type StateSpec,
  type Training,
  type TrainingOptions,
  type WeightFormat,
  type Weights,
} from '@rwkv-ts/backend';
import {
  checkBindings,
  coarseKinds,
  HandleKeeper,
  lower,
  opKinds,
  requireLive,
  requireOps,
  validateLimits,
  validateProgram,
  validateTrainingOptions,
} from '@rwkv-ts/program';
import { ReferenceExecutable } from './executable.js';
import { JobQueue } from './job-queue.js';
import { Memory } from './memory.js';
import type { Precision } from './numbers.js';
import { trainingKinds } from './ops/backward-table.js';
import { type Form, primitiveKinds } from './ops/table.js';
import { HostStates, type ReferenceStates } from './states.js';
import { ReferenceTraining } from './training/training.js';
import { ReferenceWeights } from './weights.js';

export interface ReferenceBackendOptions {
  /**
   * `f32` (default): activations, states and parameters are stored as f32, so rounded at every op's output; sums run in
   * double. `f64`: everything is double, and `run` returns `Float64Array`.
   */
  readonly precision?: Precision;
  /** How wkv4, wkv6 and wkv7 go through a sequence: token by token (default), or in chunks. */
  readonly form?: Form;
  /** Tokens of a chunk, for `form: 'chunked'`; work grows with it, and any size is safe. Default 16. */
  readonly chunkSize?: number;
  /** Bytes that all handles together may hold. Default no limit. */
  readonly memoryLimit?: number;
  /** Whether to claim the coarse op kinds too, and lower them at compile. Default false: callers lower. */
  readonly coarse?: boolean;
}

/** The reference backend: it trains, and its states also show themselves in full precision. */
export interface ReferenceBackend extends Backend {
  createStates(specs: readonly StateSpec[], slots: number): Promise<ReferenceStates>;
  createTraining(
    program: Program,
    weights: AsyncIterable<HostWeight>,
    options: TrainingOptions,
  ): Promise<Training>;
}

const weightFormats: { readonly [F in WeightFormat]: true } = {
  f32: true,
  f16: true,
  bf16: true,
  q8_0: true,
  q4_0: true,
  q4_1: true,
  q5_0: true,
  q5_1: true,
  q4_k: true,
  q5_k: true,
  q6_k: true,
};

/**
 * The reference mathematics as a backend: plain TypeScript, one thread, every op and weight format.
 * @throws TypeError for options out of range
 */
export function createReferenceBackend(options: ReferenceBackendOptions = {}): ReferenceBackend {
  return new HostBackend(options);
}

class HostBackend implements ReferenceBackend {
  readonly specificationVersion = 'v1';
  readonly name: string;
  readonly supports: BackendSupports;
  readonly #precision: Precision;
  readonly #form: Form;
  readonly #chunkSize: number;
  readonly #memory: Memory;
  readonly #queue = new JobQueue();
  readonly #handles: HandleKeeper;
  #disposal: Promise<void> | undefined;

  constructor(options: ReferenceBackendOptions) {
    const { precision = 'f32', form = 'recurrent', chunkSize = 16, coarse = false } = options;
    const { memoryLimit = Infinity } = options;
    requireOption('precision', precision, ['f32', 'f64']);
    requireOption('form', form, ['recurrent', 'chunked']);
    if (!Number.isSafeInteger(chunkSize) || chunkSize < 1 || chunkSize > 1024) {
      throw new TypeError(`chunkSize must be an integer from 1 to 1024, got ${chunkSize}.`);
    }
    if (!(memoryLimit >= 0)) {
      throw new TypeError(`memoryLimit must be a number of bytes, got ${memoryLimit}.`);
    }
    this.#precision = precision;
    this.#form = form;
    this.#chunkSize = chunkSize;
    this.#memory = new Memory(memoryLimit);
    this.name =
      form === 'chunked'
        ? `reference ${precision}, chunks of ${chunkSize}`
        : `reference ${precision}`;
    this.#handles = new HandleKeeper(this.name);
    this.supports = {
      ops: coarse ? opKinds : primitiveKinds,
      weightFormats: new Set(Object.keys(weightFormats) as WeightFormat[]),
      activations: precision,
      embeddings: true,
      trainingOps: coarse ? coarseTrainingKinds : trainingKinds,
    };
  }

  get bytes(): number {
    return this.#memory.used;
  }

  async upload(weights: AsyncIterable<HostWeight>): Promise<Weights> {
    this.#handles.requireOpen();
    const handle = this.#handles.own(
      new ReferenceWeights({ queue: this.#queue, memory: this.#memory }),
    );
    try {
      for await (const weight of weights) handle.add(weight, this.supports.weightFormats);
      // The last tensor may have come before the backend was disposed of and the end of the iteration after.
      requireLive(handle.disposed, 'backend');
    } catch (error) {
      await handle[Symbol.asyncDispose]();
      throw error;
    }
    return handle;
  }

  async createStates(specs: readonly StateSpec[], slots: number): Promise<ReferenceStates> {
    this.#handles.requireOpen();
    const options = { precision: this.#precision, queue: this.#queue, memory: this.#memory };
    return this.#handles.own(new HostStates({ ...options, specs: structuredClone(specs), slots }));
  }

  async compile(program: Program, bindings: Bindings, limits: Limits): Promise<Executable> {
    this.#handles.requireOpen();
    const weights = this.#handles.require(bindings.weights, {
      kind: ReferenceWeights,
      what: 'bindings.weights',
    });
    const states = this.#handles.require(bindings.states, {
      kind: HostStates,
      what: 'bindings.states',
    });
    requireLive(weights.disposed, 'weights handle');
    requireLive(states.disposed, 'states handle');
    validateLimits(limits);
    requireOps(program, { supported: this.supports.ops, name: this.name });
    validateProgram(program);
    checkBindings(program, {
      weights: (name) => weights.get(name)?.shape,
      states: (name) => states.block(name)?.spec.shape,
    });
    return this.#handles.own(
      new ReferenceExecutable({
        program: lower(structuredClone(program), primitiveKinds),
        weights,
        states,
        limits,
        ...this.#parts(),
      }),
    );
  }

  /** What handles are made with. */
  #parts() {
    return {
      precision: this.#precision,
      form: this.#form,
      chunkSize: this.#chunkSize,
      queue: this.#queue,
      memory: this.#memory,
    };
  }

  async createTraining(
    program: Program,
    weights: AsyncIterable<HostWeight>,
    options: TrainingOptions,
  ): Promise<Training> {
    this.#handles.requireOpen();
    const learned = withoutCandidates(program);
    requireOps(learned, { supported: this.supports.trainingOps!, name: this.name });
    validateProgram(learned);
    validateTrainingOptions(learned, options);
    const parts = structuredClone({ ...options, program: lower(learned, trainingKinds) });
    const { queue, memory, precision } = this.#parts();
    const names = new Set(parts.trainable.map(({ name }) => name));
    const needed = new Set(parts.program.weights.map(({ name }) => name));
    const precisionOf = (name: string): Precision => (names.has(name) ? precision : 'f32');
    const held = this.#handles.own(new ReferenceWeights({ queue, memory, precisionOf }));
    try {
      for await (const weight of weights) {
        if (needed.has(weight.name)) held.add(weight, this.supports.weightFormats);
      }
      requireLive(held.disposed, 'backend');
      const states = new Map(parts.program.states.map(({ name, shape }) => [name, shape]));
      checkBindings(parts.program, {
        weights: (name) => held.get(name)?.shape,
        states: (name) => states.get(name),
      });
      return this.#handles.own(
        new ReferenceTraining({ ...this.#parts(), ...parts, weights: held }),
      );
    } catch (error) {
      await held[Symbol.asyncDispose]();
      throw error;
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#handles.close();
    return this.#disposal;
  }
}

/** With the kinds that are lowered to those that have a backward. */
const coarseTrainingKinds: ReadonlySet<OpKind> = new Set([...coarseKinds, ...trainingKinds]);

/** The candidates, which no op reads, say nothing that could be learned from. */
function withoutCandidates({ candidates, ...program }: Program): Program {
  if (!candidates) return program;
  const ops = program.ops.filter((op) => op.kind !== 'top-k' || op.out.id !== candidates.id);
  return { ...program, ops };
}

function requireOption(name: string, value: string, choices: readonly string[]): void {
  if (choices.includes(value)) return;
  throw new TypeError(`${name} must be ${choices.join(' or ')}, got ${value}.`);
}
