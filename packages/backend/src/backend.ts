/**
 * The shared backend interface: a device that runs programs. Eight methods on four disposable handles.
 *
 * Every handle is `AsyncDisposable`: disposal is idempotent, waits for queued work, and frees everything the handle
 * holds; a method called afterwards fails with `BackendError` `DISPOSED`. Disposing of a backend disposes of all handles
 * it made. A handle of another backend is a `TypeError`.
 */
import './dispose.js';
import type { Batch, Limits } from './batch.js';
import type { OpKind, Program, StateSpec } from './program.js';
import type { HostWeight, WeightFormat } from './weights.js';

/** What a backend can do. The conformance suite skips nothing else, and checks the claims. */
export interface BackendSupports {
  /** Ops outside this set are rewritten by `lower()` into ones inside it, or `compile` rejects them. */
  readonly ops: ReadonlySet<OpKind>;
  readonly weightFormats: ReadonlySet<WeightFormat>;
  /** Precision of activations and output rows; it picks the tolerances of the conformance suite. */
  readonly activations: 'f64' | 'f32' | 'f16';
  /** Whether a batch may carry embedding vectors. */
  readonly embeddings: boolean;
}

export interface Backend extends AsyncDisposable {
  /** Lets callers reject a backend built for another major version of this contract. */
  readonly specificationVersion: 'v1';
  /** Shown to people, for example `cuda:0 NVIDIA H200`. Never parsed. */
  readonly name: string;
  readonly supports: BackendSupports;
  /** Device or host bytes held by all live handles; 0 again when the last one is gone. */
  readonly bytes: number;
  /**
   * Consumes tensors one at a time, so that host memory holds one tensor rather than one model. Formats must be claimed
   * ones; names must be unique. If the iterable throws, what was uploaded is freed and the error passes through.
   * @throws BackendError `UNSUPPORTED_WEIGHT_FORMAT`, `WEIGHT_INVALID`, `OUT_OF_MEMORY`, `DISPOSED`
   */
  upload(weights: AsyncIterable<HostWeight>): Promise<Weights>;
  /**
   * All slots start reset.
   * @throws BackendError `OUT_OF_MEMORY`, `DISPOSED`
   */
  createStates(specs: readonly StateSpec[], slots: number): Promise<States>;
  /**
   * Plans memory, builds pipelines, binds buffers. Slow; call once per `limits`. The weights and states stay the
   * caller's, and must outlive the executable. Weights and states beyond the program's are allowed; missing ones or other
   * shapes are `PROGRAM_INVALID`.
   * @throws BackendError `UNSUPPORTED_OP`, `PROGRAM_INVALID`, `OUT_OF_MEMORY`, `DISPOSED`
   */
  compile(program: Program, bindings: Bindings, limits: Limits): Promise<Executable>;
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
 * business. `reset`, `copy` and `write` are queued in call order with `run`; a device error surfaces at the next `run`
 * or `read`. A slot out of range or bytes of the wrong length throw `STATE_INVALID` at once.
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
   * Runs one step. The rows belong to the caller. Calls that touch the same `States` take effect in call order; callers
   * need not await between them. The batch's arrays may be reused as soon as the call returns.
   * A rejected batch changes no state.
   * @throws BackendError `BATCH_INVALID`, `DEVICE_LOST`, `OUT_OF_MEMORY`, `DISPOSED` (as a rejection)
   */
  run(batch: Batch): Promise<Rows>;
}
