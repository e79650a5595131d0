import type { Batch, Executable, Limits, Program, Rows } from '@rwkv-ts/backend';
import { Holding, nativeError } from '@rwkv-ts/native';
import {
  type BatchContext,
  batchBounds,
  requireLive,
  requireRow,
  validateBatch,
} from '@rwkv-ts/program';
import { encodeProgram } from './encode/encode-program.js';
import type { Engine } from './engine.js';
import { type NativeHandle, type OperationName, operationNames } from './native.js';
import type { CpuStates } from './states.js';
import type { CpuWeights } from './weights.js';

/** Where the time of steps went since profiling began. */
export interface CpuProfile {
  readonly steps: number;
  /** Of all steps, as the clock saw them inside the addon. */
  readonly stepMilliseconds: number;
  /** Summed over threads: making the inputs of products ready, and each operation. */
  readonly prepareMilliseconds: number;
  readonly operationMilliseconds: Readonly<Record<OperationName, number>>;
}

/** An executable that can also tell where its time goes. */
export interface CpuExecutable extends Executable {
  /**
   * What was measured since the last call with `true`; profiling starts anew, or stops. It costs a few per cent.
   * @throws BackendError `DISPOSED` (as a rejection)
   */
  profile(on: boolean): Promise<CpuProfile>;
}

export interface ExecutableOptions {
  /** Valid. */
  readonly program: Program;
  readonly weights: CpuWeights;
  readonly states: CpuStates;
  readonly limits: Limits;
}

/** A program in the addon: one native call per step. */
export class NativeExecutable implements CpuExecutable {
  readonly #engine: Engine;
  readonly #weights: CpuWeights;
  readonly #states: CpuStates;
  readonly #limits: Limits;
  readonly #batchContext: BatchContext;
  readonly #outputWidth: number;
  readonly #candidatesWidth: number;
  /** Output rows of the last step that `outputRow` may still be asked for. */
  #rowsKept = 0;
  readonly #program: NativeHandle;
  readonly #holding: Holding;
  readonly #transit: Transit;
  readonly #fail = (cause: unknown): never => {
    throw nativeError(cause, { what: 'The step', got: this.#holding.bytes });
  };
  #disposal: Promise<void> | undefined;

  static async create(engine: Engine, options: ExecutableOptions): Promise<NativeExecutable> {
    const { program, weights, states } = options;
    const limits = { ...options.limits };
    const encoded = encodeProgram(program, limits, {
      weight: (name) => weights.get(name)!,
      state: (name) => states.spec(name)!.index,
    });
    const holding = new Holding(engine.memory);
    const bytes = (encoded.arenaFloats + encoded.parameterFloats) * 4;
    try {
      const compiled = await holding.allocate({ bytes, what: 'The activations of a step' }, () =>
        engine.addon.compile(
          engine.handle,
          weights.handle,
          states.handle,
          encoded.words,
          encoded.arenaFloats,
          encoded.parameterFloats,
          limits.tokens,
          limits.sequences,
          limits.wanted,
        ),
      );
      // What the first steps will take; the system gives it page by page.
      const working = { bytes: compiled.workingBytes, what: 'The working memory of a step' };
      try {
        await holding.allocate(working, () => undefined);
      } catch (error) {
        await engine.addon.releaseProgram(engine.handle, compiled.program);
        throw error;
      }
      return new NativeExecutable(engine, {
        ...options,
        limits,
        holding,
        native: compiled.program,
      });
    } catch (error) {
      holding.release();
      throw error;
    }
  }

  private constructor(
    engine: Engine,
    parts: ExecutableOptions & { holding: Holding; native: NativeHandle },
  ) {
    this.#engine = engine;
    this.#weights = parts.weights;
    this.#states = parts.states;
    this.#limits = parts.limits;
    this.#holding = parts.holding;
    this.#transit = new Transit(parts.holding);
    this.#program = parts.native;
    this.#batchContext = {
      ...batchBounds(parts.program),
      slots: parts.states.slots,
      embeddings: true,
    };
    this.#outputWidth = parts.program.output.width;
    this.#candidatesWidth = parts.program.candidates?.width ?? 0;
  }

  get bytes(): number {
    return this.#holding.bytes;
  }

  get disposed(): boolean {
    return this.#disposal !== undefined;
  }

  run(batch: Batch): Promise<Rows> {
    // No async function: a step of a small model is short enough for its overhead to show.
    try {
      return this.#run(batch);
    } catch (cause) {
      const error: Error = cause as Error;
      return Promise.reject(error);
    }
  }

  #run(batch: Batch): Promise<Rows> {
    this.#requireLive();
    validateBatch(batch, this.#limits, this.#batchContext);
    const { wanted, output, candidates = false } = batch;
    this.#rowsKept = candidates ? wanted.length : 0;
    const numbers = wanted.length * (candidates ? this.#candidatesWidth : this.#outputWidth);
    const fits = numbers > 0 && output instanceof Float32Array && output.length >= numbers;
    if (!fits) return this.#runInto(batch, new Float32Array(numbers));
    if (!isShared(output)) return this.#runThrough(batch, output, numbers);
    return this.#runInto(batch, output.length === numbers ? output : output.subarray(0, numbers));
  }

  /** `rows` are in memory that nobody takes away. */
  #runInto(batch: Batch, rows: Float32Array): Promise<Rows> {
    const { tokens, starts, slots, wanted, embeddings, candidates = false } = batch;
    const done = this.#engine.addon.run(
      this.#engine.handle,
      this.#program,
      tokens,
      starts,
      slots,
      wanted,
      embeddings?.at,
      embeddings?.vectors,
      rows,
      candidates,
    );
    return done.then(undefined, this.#fail);
  }

  async #runThrough(batch: Batch, output: Float32Array, numbers: number): Promise<Rows> {
    const rows = this.#transit.take(numbers);
    await this.#runInto(batch, rows);
    // It may have been transferred or shrunk meanwhile.
    if (output.length < numbers) return rows;
    output.set(rows);
    if (!this.disposed) this.#transit.give(rows);
    return output.subarray(0, numbers);
  }

  async outputRow(row: number): Promise<Rows> {
    this.#requireLive();
    requireRow(row, this.#rowsKept);
    const { addon, handle } = this.#engine;
    try {
      const output = new Float32Array(this.#outputWidth);
      return await addon.outputRow(handle, this.#program, row, output);
    } catch (cause) {
      // The step failed, and kept no rows.
      if (cause instanceof Error && 'code' in cause && cause.code === 'NO_SUCH_ROW') {
        requireRow(row, 0);
      }
      throw cause;
    }
  }

  async profile(on: boolean): Promise<CpuProfile> {
    this.#requireLive();
    const { addon, handle } = this.#engine;
    const numbers = await addon.profile(handle, this.#program, on);
    const [steps = 0, stepMilliseconds = 0, prepareMilliseconds = 0, ...rest] = numbers;
    const pairs = operationNames.map((name, index) => [name, rest[index] ?? 0] as const);
    const operationMilliseconds = Object.fromEntries(pairs) as Record<OperationName, number>;
    return { steps, stepMilliseconds, prepareMilliseconds, operationMilliseconds };
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#release();
    return this.#disposal;
  }

  async #release(): Promise<void> {
    await this.#engine.addon.releaseProgram(this.#engine.handle, this.#program);
    this.#holding.release();
  }

  #requireLive(): void {
    requireLive(this.disposed, 'executable');
    requireLive(this.#weights.disposed, 'weights handle of the executable');
    requireLive(this.#states.disposed, 'states handle of the executable');
  }
}

/** Whether nobody can transfer or shrink the array's memory, so that the addon may write into it meanwhile. */
function isShared(array: Float32Array): array is Float32Array<SharedArrayBuffer> {
  return array.buffer instanceof SharedArrayBuffer;
}

/**
 * Where rows lie on their way to a `batch.output` whose memory may be taken away meanwhile: the addon writes only into
 * memory that stays. Keeps one array for the next step.
 */
class Transit {
  readonly #holding: Holding;
  #spare = new Float32Array(0);
  /** Bytes of the largest spare so far, which are counted as held. */
  #counted = 0;

  constructor(holding: Holding) {
    this.#holding = holding;
  }

  take(numbers: number): Float32Array<ArrayBuffer> {
    if (this.#spare.length < numbers) return new Float32Array(numbers);
    const rows = this.#spare.subarray(0, numbers);
    this.#spare = new Float32Array(0);
    return rows;
  }

  give(rows: Float32Array<ArrayBuffer>): void {
    const whole = new Float32Array(rows.buffer);
    const more = whole.byteLength - this.#counted;
    if (more > 0) {
      if (!this.#holding.keepArray(more)) return;
      this.#counted += more;
    }
    if (whole.length > this.#spare.length) this.#spare = whole;
  }
}
