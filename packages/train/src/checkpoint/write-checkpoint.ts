import type { TrainablePart, TrainableSpec, Training } from '@rwkv-ts/backend';
import { type TensorToWrite, writeTensors } from '@rwkv-ts/weights';
import { TrainError } from '../errors.js';
import type { LearnedFile } from '../modes/mode.js';
import { bytesOfRows } from '../numbers.js';
import { stateFile, tensorFile, type TrainingState } from './state.js';
import type { CheckpointStore } from './store.js';

export interface TrainableShape extends TrainableSpec {
  readonly shape: readonly number[];
}

export interface WriteCheckpointInput {
  readonly store: CheckpointStore;
  readonly training: Training;
  readonly trainables: readonly TrainableShape[];
  /** In which the backend keeps what learns. */
  readonly precision: 'f32' | 'f64';
  /** Whether the values themselves go in, because the file for users does not hold them exactly. */
  readonly values: boolean;
  readonly state: TrainingState;
  readonly learned: LearnedFile;
  /** Checkpoints to keep, the newest. */
  readonly keep: number;
}

export const tensorName = (name: string, part: TrainablePart): string => `${part}:${name}`;
export const laneName = (lane: number): string => `lane:${lane}`;

/**
 * Writes a checkpoint, all of it or nothing, and removes the oldest beyond `keep`.
 * @returns where it is, for people
 * @throws TrainError `CHECKPOINT_FAILED`
 */
export async function writeCheckpoint(input: WriteCheckpointInput): Promise<string> {
  const { store, state, learned, keep } = input;
  try {
    await using draft = await store.create(state.step);
    await learned.write(await draft.sink(learned.name));
    await writeTensors(await tensorsOf(input), await draft.sink(tensorFile));
    await using sink = await draft.sink(stateFile);
    await sink.write(new TextEncoder().encode(`${JSON.stringify(state, undefined, 2)}\n`));
    await sink.close();
    const name = await draft.commit();
    const steps = await store.list();
    // Steps behind this one are of a run that was resumed further back, and are no part of it.
    const mine = steps.filter((step) => step <= state.step);
    for (const step of mine.slice(0, Math.max(0, mine.length - keep))) await store.remove(step);
    return name;
  } catch (cause) {
    throw new TrainError({
      code: 'CHECKPOINT_FAILED',
      message: `The checkpoint of step ${state.step} could not be written: ${cause instanceof Error ? cause.message : String(cause)}`,
      cause,
    });
  }
}

async function tensorsOf({
  training,
  trainables,
  precision,
  values,
  state,
}: WriteCheckpointInput): Promise<readonly TensorToWrite[]> {
  const parts: readonly TrainablePart[] = [
    ...(values ? (['value'] as const) : []),
    'first-moment',
    'second-moment',
  ];
  const tensors = trainables.flatMap(({ name, shape }) =>
    parts.map((part) => ({
      name: tensorName(name, part),
      shape,
      format: precision,
      read: async () => bytesOfRows(await training.read(name, part)),
    })),
  );
  const lanes: TensorToWrite[] = [];
  for (let lane = 0; lane < state.lanes; lane++) {
    const bytes = await training.readStates(lane);
    const shape = [bytes.length / 4];
    lanes.push({ name: laneName(lane), shape, format: 'f32', read: async () => bytes });
  }
  return [...tensors, ...lanes];
}
