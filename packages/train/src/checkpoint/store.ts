/** Where checkpoints are kept. On disk: `folderCheckpoints` of `@rwkv-ts/train/node`. */
import { type ByteSink, type ByteSource, memorySink, memorySource } from '@rwkv-ts/weights';
import { TrainError } from '../errors.js';

/** A checkpoint that is being written. Disposing of it before `commit` leaves nothing behind. */
export interface CheckpointDraft extends AsyncDisposable {
  sink(file: string): Promise<ByteSink>;
  /** Puts it in its place, all files at once; one of the same step is replaced. @returns where it is, for people */
  commit(): Promise<string>;
}

/** Steps of complete checkpoints only: one that is being written, or was left half-written, is not among them. */
export interface CheckpointStore {
  /** Ascending. */
  list(): Promise<readonly number[]>;
  create(step: number): Promise<CheckpointDraft>;
  /** A file of a checkpoint. @throws TrainError `CHECKPOINT_NOT_FOUND` */
  open(step: number, file: string): Promise<ByteSource>;
  remove(step: number): Promise<void>;
}

/** Keeps checkpoints in memory: for tests, and for pages that store them elsewhere. */
export function memoryCheckpoints(): CheckpointStore {
  const checkpoints = new Map<number, ReadonlyMap<string, Uint8Array>>();
  return {
    list: async () => [...checkpoints.keys()].sort((a, b) => a - b),
    async create(step) {
      const sinks = new Map<string, ReturnType<typeof memorySink>>();
      return {
        async sink(file) {
          const sink = memorySink();
          sinks.set(file, sink);
          return sink;
        },
        async commit() {
          checkpoints.set(step, new Map([...sinks].map(([name, sink]) => [name, sink.bytes()])));
          return `step ${step} in memory`;
        },
        async [Symbol.asyncDispose]() {
          sinks.clear();
        },
      };
    },
    async open(step, file) {
      const bytes = checkpoints.get(step)?.get(file);
      if (bytes === undefined) {
        throw new TrainError({
          code: 'CHECKPOINT_NOT_FOUND',
          message: `There is no ${file} of step ${step} in memory.`,
          expected: file,
        });
      }
      return memorySource(bytes, { name: file });
    },
    async remove(step) {
      checkpoints.delete(step);
    },
  };
}
