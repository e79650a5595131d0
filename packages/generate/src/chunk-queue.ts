/** Chunks between the scheduler, which never waits, and a reader, who may. */
export class ChunkQueue<Chunk> {
  #chunks: Chunk[] = [];
  #ended = false;
  #error: unknown;
  #failed = false;
  #notify: (() => void) | undefined;
  readonly #highWater: number;
  readonly #onDrain: () => void;

  /** Past `highWater` unread chunks the queue says it is full, until the reader is through with them. */
  constructor(highWater: number, onDrain: () => void) {
    this.#highWater = highWater;
    this.#onDrain = onDrain;
  }

  get full(): boolean {
    return this.#chunks.length >= this.#highWater;
  }

  push(chunk: Chunk): void {
    this.#chunks.push(chunk);
    this.#notify?.();
  }

  end(): void {
    this.#ended = true;
    this.#notify?.();
  }

  fail(error: unknown): void {
    this.#failed = true;
    this.#error = error;
    this.end();
  }

  async *read(): AsyncGenerator<Chunk, void, undefined> {
    for (;;) {
      const chunks = this.#chunks;
      if (chunks.length > 0) {
        this.#chunks = [];
        if (chunks.length >= this.#highWater) this.#onDrain();
        yield* chunks;
      } else if (this.#failed) {
        throw this.#error;
      } else if (this.#ended) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#notify = resolve;
        });
        this.#notify = undefined;
      }
    }
  }
}
