import { ChunkQueue } from './chunk-queue.js';

/** Chunks that may wait for their reader before the generation stands still. */
const highWater = 1024;

export interface StreamWork<Chunk> {
  /** The caller's. */
  readonly signal: AbortSignal | undefined;
  /** Called when a full queue was read. */
  readonly onDrain: () => void;
  /** Does the work, pushing chunks, until it is done or `signal` fires. */
  readonly run: (queue: ChunkQueue<Chunk>, signal: AbortSignal) => Promise<unknown>;
}

/** Starts the work when the first chunk is asked for, and ends it when the reader leaves. */
export async function* streamOf<Chunk>({
  signal,
  onDrain,
  run,
}: StreamWork<Chunk>): AsyncGenerator<Chunk, void, undefined> {
  const leaving = new AbortController();
  const onAbort = (): void => {
    leaving.abort(signal?.reason);
  };
  if (signal?.aborted === true) onAbort();
  signal?.addEventListener('abort', onAbort, { once: true });
  const queue = new ChunkQueue<Chunk>(highWater, onDrain);
  const done = run(queue, leaving.signal).then(
    () => {
      queue.end();
    },
    (error: unknown) => {
      queue.fail(error);
    },
  );
  try {
    yield* queue.read();
  } finally {
    signal?.removeEventListener('abort', onAbort);
    leaving.abort();
    await done;
  }
}
