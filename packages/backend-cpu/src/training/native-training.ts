/** The functions of the addon for training (native/addon/training-functions.cc), and the orders of names that both sides share. */
import type { TrainablePart } from '@rwkv-ts/backend';
import type { NativeHandle } from '../native.js';

export interface NativeTraining {
  /**
   * Memory and instructions of a training. `words`: as encode-training.ts has them. The weights are all plain numbers; both
   * states have their memory, and the same specs and slots.
   */
  createTraining(
    engine: NativeHandle,
    weights: NativeHandle,
    states: NativeHandle,
    stateGradients: NativeHandle,
    words: Float64Array,
    arenaFloats: number,
    localFloats: number,
    tokens: number,
    sequences: number,
    wanted: number,
  ): Promise<NativeHandle>;
  /** Resolves to the loss. The batch is copied before the call returns. */
  learn(
    engine: NativeHandle,
    training: NativeHandle,
    tokens: Uint32Array,
    starts: Uint32Array,
    slots: Uint32Array,
    wanted: Uint32Array,
    targets: Uint32Array,
    weights: Float32Array | undefined,
    backward: boolean,
    scale: number,
    penalty: number,
  ): Promise<number>;
  /**
   * `options`: step, learning rate, weight decay, β₁, β₂, epsilon, norm limit. Resolves to the norm, and 1 where the step was
   * taken.
   */
  updateTraining(
    engine: NativeHandle,
    training: NativeHandle,
    options: Float64Array,
  ): Promise<Float64Array>;
  resetTrainingSlot(engine: NativeHandle, training: NativeHandle, slot: number): Promise<void>;
  collectInitialGradients(
    engine: NativeHandle,
    training: NativeHandle,
    slot: number,
  ): Promise<void>;
  /** Fills and resolves to `numbers`, which must stay until then. */
  readTrainable(
    engine: NativeHandle,
    training: NativeHandle,
    index: number,
    part: number,
    numbers: Float32Array,
  ): Promise<Float32Array>;
  writeTrainable(
    engine: NativeHandle,
    training: NativeHandle,
    index: number,
    part: number,
    numbers: Float32Array,
  ): Promise<void>;
  /**
   * [runs, their milliseconds, operations of products, milliseconds of each of `instructionNames` summed over threads]
   * since it was last switched on.
   */
  profileTraining(engine: NativeHandle, training: NativeHandle, on: boolean): Promise<Float64Array>;
  releaseTraining(engine: NativeHandle, training: NativeHandle): Promise<void>;
}

/** The order of `Code` in native/training/instruction.h. */
export const instructionNames = [
  'embed',
  'select-rows',
  'norm',
  'l2-norm',
  'shift',
  'lerp',
  'row-matmul',
  'add',
  'mul',
  'scale',
  'activate',
  'copy',
  'bonus7',
  'parameter',
  'commit-shift',
  'product',
  'wkv4',
  'wkv6',
  'wkv7',
  'cross-entropy',
  'embed-backward',
  'select-rows-backward',
  'norm-backward',
  'l2-norm-backward',
  'shift-backward',
  'lerp-backward',
  'row-matmul-backward',
  'add-backward',
  'mul-backward',
  'scale-backward',
  'activate-backward',
  'slice-backward',
  'bonus7-backward',
  'parameter-backward',
  'commit-shift-backward',
  'wkv4-backward',
  'wkv6-backward',
  'wkv7-backward',
] as const;
export type InstructionName = (typeof instructionNames)[number];

/** The order of `Base` in native/training/instruction.h. */
export const bases = [
  'absent',
  'arena',
  'local',
  'weight',
  'gradient',
  'state',
  'state-gradient',
] as const;
export type Base = (typeof bases)[number];

/** The order of `Extent` in native/training/instruction.h. */
export const extents = [
  'one',
  'tokens',
  'wanted',
  'sequences',
  'token-blocks',
  'wanted-blocks',
  'records',
] as const;
export type Extent = (typeof extents)[number];

/** The order of `Units` in native/training/instruction.h. */
export const unitKinds = [
  'row-blocks',
  'product',
  'sequence-parts',
  'sequences',
  'rows',
  'column-blocks',
  'one',
] as const;
export type UnitKind = (typeof unitKinds)[number];

/** The order of `Part` in native/training/instruction.h. */
export const programParts = ['forward', 'loss', 'backward'] as const;
export type ProgramPart = (typeof programParts)[number];

/** The order of `TrainablePart` in native/training/training.h. */
export const trainableParts: readonly TrainablePart[] = [
  'value',
  'gradient',
  'first-moment',
  'second-moment',
];
