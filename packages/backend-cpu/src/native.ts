/** The functions of the addon (native/addon), and the orders of names that both sides share. */
import type { Activation, WeightFormat } from '@rwkv-ts/backend';
import type { NativeTraining } from './training/native-training.js';

/** An object of the addon: an engine, weights, states, a program or a training. Freed when nothing refers to it any more. */
export type NativeHandle = object & { readonly __native: never };

/**
 * Every promise settles in the order of the calls, on one engine. Arguments are not checked beyond memory safety; typed
 * arrays that a promise waits for must be neither transferred nor resized meanwhile.
 */
export interface NativeAddon extends NativeTraining {
  readonly version: string;
  /** The instruction sets this build holds and this processor runs, best first. */
  instructions(): string[];
  packedBytes(
    format: number,
    rows: number,
    columns: number,
    isVector: boolean,
    layout: number,
  ): number;
  /** Tells V8 about bytes outside its heap; returns how many it now knows of. */
  adjustMemory(change: number): number;

  createEngine(
    instructions: string,
    threads: number,
    pin: boolean,
    spinMicroseconds: number,
  ): NativeHandle;
  /** Resolves when everything queued before is done. */
  drainEngine(engine: NativeHandle): Promise<void>;
  /** Joins the threads; nothing may be queued any more. */
  stopEngine(engine: NativeHandle): void;

  createWeights(): NativeHandle;
  /** Resolves to the tensor's index. `bytes` must not change before that. */
  addWeight(
    engine: NativeHandle,
    weights: NativeHandle,
    format: number,
    rows: number,
    columns: number,
    isVector: boolean,
    layout: number,
    bytes: Uint8Array,
  ): Promise<number>;
  releaseWeights(engine: NativeHandle, weights: NativeHandle): Promise<void>;

  /** `kPackedVersion` of native/kernels/pack.h. */
  readonly packedVersion: number;
  /** The whole file as memory that is only read; rejects with an error that has a `code`. Nothing frees it but `unmapFile`. */
  mapFile(
    engine: NativeHandle,
    path: string,
  ): Promise<{ readonly mapping: NativeHandle; readonly bytes: number }>;
  /** A copy. */
  readMapping(mapping: NativeHandle, offset: number, length: number): Uint8Array;
  unmapFile(mapping: NativeHandle): void;
  /**
   * Weights in the file, which take the mapping over. `table` has for each tensor its format, rows, columns, 1 for a
   * vector (f32), layout, and offset in the file, a multiple of 64. Throws where one does not lie in the file.
   */
  mapWeights(mapping: NativeHandle, table: Float64Array): NativeHandle;
  /** Fills and resolves to `bytes`: the packed weight from `offset` on. */
  readPacked(
    engine: NativeHandle,
    weights: NativeHandle,
    index: number,
    offset: number,
    bytes: Uint8Array,
  ): Promise<Uint8Array>;

  /**
   * States without memory yet. `sizes`: numbers of each spec; `initial`: one slot's numbers, spec after spec, each as often
   * as `repeats` says, once by default. Throws `OUT_OF_MEMORY` for sizes beyond any machine.
   */
  createStates(
    sizes: Float64Array,
    initial: Float32Array,
    slots: number,
    repeats?: Float64Array,
  ): NativeHandle;
  /** Resolves when there is memory for all slots, and they are reset. */
  allocateStates(engine: NativeHandle, states: NativeHandle): Promise<void>;
  resetState(engine: NativeHandle, states: NativeHandle, slot: number): Promise<void>;
  copyState(engine: NativeHandle, states: NativeHandle, from: number, to: number): Promise<void>;
  /** `bytes` must stay as they are until the promise resolves. */
  writeState(
    engine: NativeHandle,
    states: NativeHandle,
    slot: number,
    bytes: Uint8Array,
  ): Promise<void>;
  /** Fills and resolves to `bytes`, which must stay until then. */
  readState(
    engine: NativeHandle,
    states: NativeHandle,
    slot: number,
    bytes: Uint8Array,
  ): Promise<Uint8Array>;
  releaseStates(engine: NativeHandle, states: NativeHandle): Promise<void>;

  compile(
    engine: NativeHandle,
    weights: NativeHandle,
    states: NativeHandle,
    words: Float64Array,
    arenaFloats: number,
    parameterFloats: number,
    tokens: number,
    sequences: number,
    wanted: number,
  ): Promise<{ program: NativeHandle; workingBytes: number }>;
  /** Fills and resolves to `output`. The batch is copied before the call returns. */
  run(
    engine: NativeHandle,
    program: NativeHandle,
    tokens: Uint32Array,
    starts: Uint32Array,
    slots: Uint32Array,
    wanted: Uint32Array,
    embeddingAt: Uint32Array | undefined,
    embeddingVectors: Float32Array | undefined,
    output: Float32Array,
    candidates?: boolean,
  ): Promise<Float32Array>;
  /** Fills and resolves to `output`: a row that the last step, which gave candidates, kept. */
  outputRow(
    engine: NativeHandle,
    program: NativeHandle,
    row: number,
    output: Float32Array,
  ): Promise<Float32Array>;
  /**
   * [steps, milliseconds of the steps, of preparing the inputs of products, then of each operation of `operationNames`]
   * since it was last switched on; all but the first two are summed over threads.
   */
  profile(engine: NativeHandle, program: NativeHandle, on: boolean): Promise<Float64Array>;
  releaseProgram(engine: NativeHandle, program: NativeHandle): Promise<void>;
}

/** The order of `Format` in native/kernels/types.h. */
export const weightFormats: readonly WeightFormat[] = [
  'f32',
  'f16',
  'bf16',
  'q8_0',
  'q4_0',
  'q4_1',
  'q5_0',
  'q5_1',
  'q4_k',
  'q5_k',
  'q6_k',
];

/** The order of `Layout` in native/kernels/types.h. */
export const layouts = ['panels', 'columns'] as const;

/** The order of `Activation` in native/kernels/types.h; 0 is none. */
export const activations: readonly (Activation | undefined)[] = [
  undefined,
  'tanh',
  'sigmoid',
  'silu',
  'relu2',
  'exp',
  'negative-exp',
  'exp-negative-exp',
  'decay7',
];

/** The order of `OpCode` in native/engine/program.h. */
export const operationNames = [
  'embed',
  'select-rows',
  'norm',
  'l2-norm',
  'lerp',
  'linear',
  'row-matmul',
  'add',
  'mul',
  'scale',
  'activate',
  'copy',
  'shift-mix',
  'commit-shift',
  'wkv4',
  'wkv6',
  'wkv7',
  'bonus7',
  'prepare7',
  'top-k',
] as const;
export type OperationName = (typeof operationNames)[number];
