import { outOfMemory } from '@rwkv-ts/program';

/** Counts the bytes of all live handles and refuses to go over a limit. */
export class Memory {
  readonly #limit: number;
  #used = 0;

  constructor(limit: number) {
    this.#limit = Math.min(limit, Number.MAX_SAFE_INTEGER);
  }

  get used(): number {
    return this.#used;
  }

  /** @throws BackendError `OUT_OF_MEMORY`, and then counts nothing */
  take(bytes: number, what: string): void {
    const available = this.#limit - this.#used;
    if (bytes > available) throw outOfMemory({ what, expected: available, got: bytes });
    this.#used += bytes;
  }

  give(bytes: number): void {
    this.#used -= bytes;
  }
}

/** What one handle holds: its buffers and the host memory it counts, given back at once. */
export class Holding {
  readonly #memory: Memory;
  readonly #buffers = new Set<GPUBuffer>();
  #bytes = 0;

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** @throws BackendError `OUT_OF_MEMORY` */
  take(bytes: number, what: string): void {
    this.#memory.take(bytes, what);
    this.#bytes += bytes;
  }

  give(bytes: number): void {
    this.#memory.give(bytes);
    this.#bytes -= bytes;
  }

  keep(buffer: GPUBuffer): void {
    this.#buffers.add(buffer);
  }

  /** Destroys a buffer that was kept, of which `bytes` were counted, after what is queued has used it. */
  drop(buffer: GPUBuffer, bytes = buffer.size): void {
    if (!this.#buffers.delete(buffer)) return;
    this.give(bytes);
    buffer.destroy();
  }

  /** Destroys every buffer, which waits for nobody: queued work must be done. */
  release(): void {
    for (const buffer of this.#buffers) buffer.destroy();
    this.#buffers.clear();
    this.#memory.give(this.#bytes);
    this.#bytes = 0;
  }
}
