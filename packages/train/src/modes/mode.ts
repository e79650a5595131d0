/** What learns: all of the model, something added to it, or its initial states. */
import type { HostWeight, Program, TrainableSpec } from '@rwkv-ts/backend';
import type { RwkvConfig } from '@rwkv-ts/model';
import type { ByteSink, WritableModel } from '@rwkv-ts/weights';

/** A trainable as it stands, in f32. */
export type ReadValues = (name: string) => Promise<Float32Array>;

/** A file that a mode writes of what was learned. */
export interface LearnedFile {
  /** In a checkpoint's folder. */
  readonly name: string;
  write(sink: ByteSink): Promise<void>;
}

/** A mode, made for one model. */
export interface ModePlan {
  /** Not lowered. */
  readonly program: Program;
  readonly trainable: readonly TrainableSpec[];
  /** Weights of the program that the model does not have, with their first numbers. */
  readonly added: readonly HostWeight[];
  /** First numbers of trainable ones that the model and `added` do not have: initial states. By name, row-major. */
  readonly start?: ReadonlyMap<string, Float32Array>;
  /** The file for users: a model, an adapter, or states. */
  learned(model: TrainedModel): LearnedFile;
  /** The whole model as it stands, in canonical weights, for generating from it. */
  merged(model: TrainedModel): WritableModel;
  /** Where initial states learn: as they stand, by the program's state names. */
  states?(model: TrainedModel): Promise<ReadonlyMap<string, Float32Array>>;
}

export interface TrainedModel {
  /** What the training started from. */
  readonly base: WritableModel;
  readonly read: ReadValues;
}

export interface TrainingMode {
  readonly kind: 'full' | 'lora' | 'states';
  /** Plain JSON: what a checkpoint is compared with when it is resumed. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** @throws TrainError `MODE_UNSUPPORTED`, `OPTION_INVALID` */
  plan(config: RwkvConfig): ModePlan;
}
