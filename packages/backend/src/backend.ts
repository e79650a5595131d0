/**
 * The shared backend interface: a device that runs programs. Eight methods on four disposable handles,
 * a ninth for those with `top-k`, and a tenth for those that train (`training.ts`).
 *
 * Every handle is `AsyncDisposable`: disposal is idempotent, waits for queued work, and frees everything the handle
 * holds; a method called afterwards fails with `BackendError` `DISPOSED`. Disposing of a backend disposes of all handles
 * it made. A handle of another backend is a `TypeError`.
 *
 * Every method that returns a promise reports by rejecting, never by a synchronous throw. Work that takes long happens off
 * the caller's thread or in slices, so that the event loop keeps turning. Several backends, several models on one backend,
 * and several executables on the same weights and states are ordinary; names of weights and states belong to their
 * handle, so a backend must not remember anything by name beyond it.
 */
import './dispose.js';
import type { Batch, Limits } from './batch.js';
import type { OpKind, Program, StateSpec } from './program.js';
import type { Training, TrainingOptions } from './training.js';
import type { HostWeight, WeightFormat } from './weights.js';

/** What a backend can do. The conformance suite skips nothing else, and checks the claims. */
export interface BackendSupports {
  /** Ops outside this set are rewritten by `lower()` into ones inside it, or `compile` rejects them. */
  readonly ops: ReadonlySet<OpKind>;
  readonly weightFormats: ReadonlySet<WeightFormat>;
  /** Precision of activations and output rows; it picks the tolerances of the conformance suite. */
  readonly activations: 'f64' | 'f32' | 'f16';
  /**
   * 16-bit weight formats whose products may first round activations to that very format, as matrix units do: a claim of
   * less precision, for which the conformance suite allows. Default none.
   */
  readonly roundedProducts?: ReadonlySet<'f16' | 'bf16'>;
  /** Whether a batch may carry embedding vectors. */
  readonly embeddings: boolean;
  /** Ops that `createTraining` differentiates, there where that method is; `lower()` rewrites others into them. */
  readonly trainingOps?: ReadonlySet<OpKind>;
}

export interface Backend extends AsyncDisposable {
  /** Lets callers reject a backend built for another major version of this contract. */
  readonly specificationVersion: 'v1';
  /** Shown to people, for example `cuda:0 NVIDIA H200`. Never parsed. */
  readonly name: string;
  readonly supports: BackendSupports;
  /**
   * Device or host bytes held by all live handles; 0 again when the last one is gone. What a backend keeps for itself
   * (thread stacks, pipelines, rings of read-back buffers) counts while a handle needs it.
   */
  readonly bytes: number;
  /**
   * Consumes tensors one at a time, so that host memory holds one tensor rather than one model; the next one is asked for
   * when the one before needs no host memory any more, or is kept. Formats must be claimed ones, for vectors as for
   * matrices; names must be unique; order is free. If the iterable throws, what was uploaded is freed and the error passes
   * through; if the backend refuses a tensor, it ends the iteration (`return`), frees, and rejects.
   *
   * `program` is the one they are for, where the caller knows it: a backend may lay them out as its ops like, and may
   * ignore it. The weights serve every program all the same, and the program may be any that names some of them.
   * @throws BackendError `UNSUPPORTED_WEIGHT_FORMAT`, `WEIGHT_INVALID`, `OUT_OF_MEMORY`, `DISPOSED`
   */
  upload(weights: AsyncIterable<HostWeight>, options?: UploadOptions): Promise<Weights>;
  /**
   * All slots start reset. Specs with a name twice or without positive sizes, and a number of slots below 1, are a
   * `TypeError`: they come from a program, which `validateProgram` has seen.
   * @throws BackendError `OUT_OF_MEMORY`, `DISPOSED`
   */
  createStates(specs: readonly StateSpec[], slots: number): Promise<States>;
  /**
   * Plans memory, builds pipelines, binds buffers. Slow; call once per `limits`. The program is read before the promise
   * resolves and not kept. The weights and states stay the caller's, and must outlive the executable, whose `run` is
   * `DISPOSED` once either is. Weights and states beyond the program's are allowed; missing ones or other shapes are
   * `PROGRAM_INVALID`. Op kinds are checked before anything else. Limits that are not positive integers (`wanted` may be 0)
   * are a `TypeError`.
   * @throws BackendError `UNSUPPORTED_OP`, `PROGRAM_INVALID`, `OUT_OF_MEMORY`, `DISPOSED`
   */
  compile(program: Program, bindings: Bindings, limits: Limits): Promise<Executable>;
  /**
   * Takes the weights that `program` names, as `upload` does, and plans runs that learn. Trainable weights may come in any
   * claimed format, and are held in full precision; frozen ones keep theirs where the backend multiplies by it. All slots
   * start reset, gradients and moments at zero. Names that the program lacks, or twice, are a `TypeError`.
   * @throws BackendError as `upload` and `compile`
   */
  createTraining?(
    program: Program,
    weights: AsyncIterable<HostWeight>,
    options: TrainingOptions,
  ): Promise<Training>;
}

export interface UploadOptions {
  readonly program?: Program;
}

export interface Bindings {
  readonly weights: Weights;
  readonly states: States;
}

export interface Weights extends AsyncDisposable {
  readonly bytes: number;
}

/**
 * Device-resident recurrent state: `slots` independent copies of every spec. Who owns which slot is the scheduler's
 * business. `reset`, `copy`, `write` and `read` are queued in call order with every `run` that touches these states; a
 * device error surfaces at the next `run` or `read`. A slot out of range or bytes of the wrong length throw
 * `STATE_INVALID` at once (`read` may reject instead).
 *
 * Any bits may be written, infinities and NaN included: they must stay in their slot. An f64 backend may hold states in
 * double between steps; a snapshot is f32 all the same.
 */
export interface States extends AsyncDisposable {
  readonly slots: number;
  readonly bytes: number;
  reset(slot: number): void;
  copy(from: number, to: number): void;
  /** f32 little-endian, spec after spec, row-major: a snapshot of one backend loads on any other. */
  read(slot: number): Promise<Uint8Array>;
  /** `bytes` is copied before the call returns. */
  write(slot: number, bytes: Uint8Array): void;
}

/** Output rows, [R, width] row-major. f32; f64 from a backend whose activations are f64. */
export type Rows = Float32Array | Float64Array;

export interface Executable extends AsyncDisposable {
  readonly bytes: number;
  /**
   * Runs one step. The rows belong to the caller, in memory of their own or in `batch.output`. Calls that touch the same `States` take effect in call order, whatever
   * executable they are made on; callers need not await between them. The batch's other arrays are only read, and may
   * be reused as soon as the call returns. An empty batch is allowed and gives no rows.
   *
   * A sequence's rows and state depend on its own tokens and state alone. Batches of the same shape (`starts`, and
   * `wanted`) give the same bits for it whenever they run and whatever the other sequences and slots hold; batches of
   * other shapes may round differently.
   *
   * A rejected batch changes no state. After `DEVICE_LOST`, or `OUT_OF_MEMORY` while running, the states of the batch's
   * slots are undefined: write a snapshot or reset them.
   * @throws BackendError `BATCH_INVALID`, `DEVICE_LOST`, `OUT_OF_MEMORY`, `DISPOSED` (as a rejection)
   */
  run(batch: Batch): Promise<Rows>;
  /**
   * Row `row` of the output [V] of the last step, if that was run with `Batch.candidates`: what the whole output would
   * have held there, to the bit. The row belongs to the caller. Called before the next `run` on this executable; there
   * where the program names candidates.
   * @throws BackendError `BATCH_INVALID` where the last step has no such row, `DEVICE_LOST`, `DISPOSED` (as a rejection)
   */
  outputRow?(row: number): Promise<Rows>;
}
