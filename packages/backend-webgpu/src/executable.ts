import type { Batch, Executable, Limits, Rows } from '@rwkv-ts/backend';
import {
  type BatchContext,
  batchBounds,
  requireLive,
  requireRow,
  validateBatch,
  writeStepHeader,
} from '@rwkv-ts/program';
import { type Compiled, compileProgram, type CompileOptions } from './compile.js';
import type { Engine } from './engine.js';
import { ReadBack } from './read-back.js';
import type { WebGpuStates } from './states.js';
import { type StepCommands, StepEncoder, variantFor } from './step-encoder.js';
import type { WebGpuWeights } from './weights.js';

/** A program on the device: a step is one header, one submission, and one buffer mapped for its rows. */
export class WebGpuExecutable implements Executable {
  readonly #engine: Engine;
  readonly #weights: WebGpuWeights;
  readonly #states: WebGpuStates;
  readonly #limits: Limits;
  readonly #batchContext: BatchContext;
  readonly #compiled: Compiled;
  readonly #readBack: ReadBack;
  readonly #encoder: StepEncoder;
  readonly #pending = new Set<Promise<unknown>>();
  /** Output rows of the last step that `outputRow` may still be asked for. */
  #rowsKept = 0;
  #disposal: Promise<void> | undefined;

  static async create(engine: Engine, options: CompileOptions): Promise<WebGpuExecutable> {
    const limits = { ...options.limits };
    const compiled = await compileProgram(engine, { ...options, limits });
    return new WebGpuExecutable(engine, { ...options, limits, compiled });
  }

  private constructor(engine: Engine, parts: CompileOptions & { readonly compiled: Compiled }) {
    this.#engine = engine;
    this.#weights = parts.weights;
    this.#states = parts.states;
    this.#limits = parts.limits;
    this.#compiled = parts.compiled;
    const { holding } = parts.compiled;
    this.#readBack = new ReadBack(engine.context, { holding, mostIdle: 8, what: 'A step’s rows' });
    this.#encoder = new StepEncoder(engine.context.device, parts.compiled, this.#readBack);
    this.#batchContext = {
      ...batchBounds(parts.program),
      slots: parts.states.slots,
      embeddings: true,
    };
  }

  get bytes(): number {
    return this.#compiled.holding.bytes;
  }

  get disposed(): boolean {
    return this.#disposal !== undefined;
  }

  /** Dispatches of a step of this many tokens, wanted rows and sequences. */
  countDispatches(
    { tokens, wanted, sequences }: Limits,
    { candidates = false }: Pick<Batch, 'candidates'> = {},
  ): number {
    const counts = [tokens, wanted, sequences];
    return this.#compiled.nodes.filter(
      ({ rows, forCandidates, variants }) =>
        counts[rows]! > 0 &&
        (candidates || !forCandidates) &&
        variantFor(variants, counts[rows]!).groups > 0,
    ).length;
  }

  async run(batch: Batch): Promise<Rows> {
    this.#requireLive();
    validateBatch(batch, this.#limits, this.#batchContext);
    this.#engine.context.requireSound();
    this.#rowsKept = batch.candidates === true ? batch.wanted.length : 0;
    if (batch.tokens.length === 0) return new Float32Array(0);
    return this.#until(this.#step(batch));
  }

  async outputRow(row: number): Promise<Rows> {
    this.#requireLive();
    this.#engine.context.requireSound();
    requireRow(row, this.#rowsKept);
    return this.#until(this.#answer(this.#encoder.outputRow(row)));
  }

  async #until<Result>(work: Promise<Result>): Promise<Result> {
    this.#pending.add(work);
    try {
      return await work;
    } finally {
      this.#pending.delete(work);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#release();
    return this.#disposal;
  }

  async #release(): Promise<void> {
    await Promise.allSettled(this.#pending);
    await this.#engine.context.idle();
    this.#compiled.holding.release();
  }

  /** Everything up to the submission happens within the call, so that calls take effect in their order. */
  #step(batch: Batch): Promise<Rows> {
    const { tokens, wanted, slots, candidates = false, output } = batch;
    const shape = { tokens: tokens.length, wanted: wanted.length, sequences: slots.length };
    const step = this.#encoder.take({ ...shape, candidates });
    const { header, headerWords } = this.#compiled;
    const { queue } = this.#engine.context.device;
    queue.writeBuffer(header, 0, headerWords, 0, writeStepHeader(headerWords, batch));
    return this.#answer(step, output);
  }

  /** Submits commands, and reads rows back. */
  async #answer({ commands, answer, rows, staging }: StepCommands, into?: Rows): Promise<Rows> {
    const { context } = this.#engine;
    const { stride, width } = answer;
    context.device.queue.submit([commands]);
    let result: Float32Array = new Float32Array(0);
    const finish = (mapped: ArrayBuffer): void => {
      const numbers = new Float32Array(mapped);
      const count = rows * width;
      const fits = into instanceof Float32Array && into.length >= count;
      result = fits ? into.subarray(0, count) : new Float32Array(count);
      if (stride === width) result.set(numbers);
      else copyRows(numbers, { result, stride, width });
    };
    try {
      const done = staging
        ? this.#readBack.read(staging, 4 * rows * stride, finish)
        : context.idle();
      // After the caller has gone on, and while the device works.
      queueMicrotask(() => {
        this.#encoder.prepare();
      });
      await done;
      context.requireSound();
    } catch (cause) {
      throw await context.failure(cause);
    }
    return result;
  }

  #requireLive(): void {
    requireLive(this.disposed, 'executable');
    requireLive(this.#weights.disposed, 'weights handle of the executable');
    requireLive(this.#states.disposed, 'states handle of the executable');
  }
}

/** Rows lie a multiple of 8 numbers apart. */
function copyRows(
  numbers: Float32Array,
  { result, stride, width }: { result: Float32Array; stride: number; width: number },
): void {
  for (let from = 0, to = 0; to < result.length; from += stride, to += width) {
    result.set(numbers.subarray(from, from + width), to);
  }
}
