import type { Rows } from '@rwkv-ts/backend';
import {
  type ByteSource,
  type ModelFile,
  openModel,
  openRawFile,
  type RawFile,
} from '@rwkv-ts/weights';
import { TrainError } from '../errors.js';
import { readRows } from '../numbers.js';
import { parseState, stateFile, stateSizeLimit, tensorFile, type TrainingState } from './state.js';
import type { CheckpointStore } from './store.js';

/** An opened checkpoint: its small part read, its tensors read when asked for. */
export interface Checkpoint extends AsyncDisposable {
  readonly step: number;
  readonly state: TrainingState;
  /** Where the sample stream stood, as the stream itself put it. */
  readonly position: unknown;
  /** The model as it stood, after full training. */
  openModel(): Promise<ModelFile>;
  /** @throws TrainError `CHECKPOINT_INVALID` where it is missing or of another size */
  read(name: string, count: number): Promise<Rows>;
  has(name: string): boolean;
}

export interface OpenCheckpointOptions {
  /** Default: the newest. */
  readonly step?: number | undefined;
}

/**
 * Opens a checkpoint to go on from.
 * @throws TrainError `CHECKPOINT_NOT_FOUND`, `CHECKPOINT_INVALID`; WeightsError what opening its files throws
 */
export async function openCheckpoint(
  store: CheckpointStore,
  { step }: OpenCheckpointOptions = {},
): Promise<Checkpoint> {
  const steps = await store.list();
  const chosen = step ?? steps.at(-1);
  if (chosen === undefined || !steps.includes(chosen)) {
    throw new TrainError({
      code: 'CHECKPOINT_NOT_FOUND',
      message:
        step === undefined
          ? 'There is no checkpoint to go on from.'
          : `There is no checkpoint of step ${step}; there are those of ${steps.join(', ') || 'none'}.`,
      expected: step ?? 'a checkpoint',
      got: steps,
    });
  }
  const state = await readState(await store.open(chosen, stateFile));
  const file = await openRawFile(await store.open(chosen, tensorFile));
  return {
    step: state.step,
    state,
    position: state.position,
    openModel: async () => openModel(await store.open(chosen, state.learned)),
    has: (name) => file.tensors.has(name),
    read: (name, count) => readTensor(file, { name, count }),
    [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
  };
}

async function readState(source: ByteSource): Promise<TrainingState> {
  await using from = source;
  if (from.size > stateSizeLimit) {
    throw new TrainError({
      code: 'CHECKPOINT_INVALID',
      message: `${from.name} has ${from.size} bytes; at most ${stateSizeLimit} are read.`,
      expected: stateSizeLimit,
      got: from.size,
    });
  }
  return await parseState(await from.read(0, from.size), from.name);
}

async function readTensor(
  file: RawFile,
  { name, count }: { readonly name: string; readonly count: number },
): Promise<Rows> {
  const tensor = file.tensors.get(name);
  const got = tensor?.shape.reduce((product, size) => product * size, 1);
  if (tensor === undefined || got !== count) {
    throw new TrainError({
      code: 'CHECKPOINT_INVALID',
      message:
        tensor === undefined
          ? `${file.name} has no ${name}.`
          : `${file.name}: ${name} must have ${count} numbers, got ${String(got)}.`,
      expected: count,
      got,
    });
  }
  return readRows(tensor);
}
