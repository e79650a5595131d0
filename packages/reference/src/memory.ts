import { outOfMemory } from '@rwkv-ts/program';

/** Counts the bytes of all live handles and refuses to go over a limit. */
export class Memory {
  readonly #limit: number;
  #used = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get used(): number {
    return this.#used;
  }

  /** @throws BackendError `OUT_OF_MEMORY` before anything is allocated */
  requireAvailable(bytes: number, what: string): void {
    const available = this.#limit - this.#used;
    if (bytes > available) throw outOfMemory({ what, expected: available, got: bytes });
  }

  add(bytes: number): void {
    this.#used += bytes;
  }

  release(bytes: number): void {
    this.#used -= bytes;
  }
}

/** The memory of one handle: everything it reserved is released at once. */
export class Holding {
  readonly #memory: Memory;
  #bytes = 0;

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Asks, allocates, then counts: what could not be had is not counted.
   * @throws BackendError `OUT_OF_MEMORY`, also when the runtime cannot allocate
   */
  allocate<Result>({ bytes, what }: { bytes: number; what: string }, create: () => Result): Result {
    this.#memory.requireAvailable(bytes, what);
    let result: Result;
    try {
      result = create();
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      throw outOfMemory({ what, expected: 'what the runtime can allocate', got: bytes, cause });
    }
    this.#memory.add(bytes);
    this.#bytes += bytes;
    return result;
  }

  release(): void {
    this.#memory.release(this.#bytes);
    this.#bytes = 0;
  }
}
