import { BackendError } from '@rwkv-ts/backend';
import { outOfMemory } from '@rwkv-ts/program';

/** An addon, as far as it tells V8 of bytes outside its heap (`add_common_functions` of functions.h). */
export interface MemoryListener {
  /** Returns how many V8 now knows of. */
  adjustMemory(change: number): number;
}

/** Counts the bytes of all live handles, tells V8 of them, and refuses to go over a limit. */
export class Memory {
  readonly #addon: MemoryListener;
  readonly #limit: number;
  #used = 0;

  constructor(addon: MemoryListener, limit: number) {
    this.#addon = addon;
    // Beyond this, sums of bytes would not be exact.
    this.#limit = Math.min(limit, Number.MAX_SAFE_INTEGER);
  }

  get used(): number {
    return this.#used;
  }

  get available(): number {
    return this.#limit - this.#used;
  }

  /** Counts what is about to be allocated. @throws BackendError `OUT_OF_MEMORY` */
  reserve(bytes: number, what: string): void {
    if (bytes > this.available) {
      throw outOfMemory({ what, expected: this.available, got: bytes });
    }
    this.#used += bytes;
  }

  /** Takes back a count that V8 was not told of. */
  cancel(bytes: number): void {
    this.#used -= bytes;
  }

  /** What was counted is there: V8, which aborts when told of absurd sizes, hears only of such. */
  confirm(bytes: number): void {
    if (bytes !== 0) this.#addon.adjustMemory(bytes);
  }

  give(bytes: number): void {
    this.#used -= bytes;
    if (bytes !== 0) this.#addon.adjustMemory(-bytes);
  }
}

/** The memory of one handle: everything it took is given back at once. */
export class Holding {
  readonly #memory: Memory;
  #bytes = 0;
  /** Of `bytes`, those in JavaScript's own arrays, which V8 counts itself. */
  #ownArrays = 0;

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Counts first, so that a refusal comes before the system is asked; the count is taken back when `allocate` fails.
   * @throws BackendError `OUT_OF_MEMORY`, also when the system refuses
   */
  async allocate<Result>(
    { bytes, what }: { readonly bytes: number; readonly what: string },
    allocate: () => Promise<Result> | Result,
  ): Promise<Result> {
    this.#memory.reserve(bytes, what);
    try {
      const result = await allocate();
      this.#memory.confirm(bytes);
      this.#bytes += bytes;
      return result;
    } catch (cause) {
      this.#memory.cancel(bytes);
      throw nativeError(cause, { what, got: bytes });
    }
  }

  /** Counts an array that need not be kept; false, and nothing, where that is over the limit. */
  keepArray(bytes: number): boolean {
    if (bytes > this.#memory.available) return false;
    this.#memory.reserve(bytes, 'An array');
    this.#bytes += bytes;
    this.#ownArrays += bytes;
    return true;
  }

  release(): void {
    this.#memory.give(this.#bytes - this.#ownArrays);
    this.#memory.cancel(this.#ownArrays);
    this.#bytes = 0;
    this.#ownArrays = 0;
  }
}

/** The addon's errors carry a code; the one for memory, and V8's of arrays it cannot make, become ours. */
export function nativeError(cause: unknown, { what, got }: { what: string; got: number }): unknown {
  const isMemory =
    cause instanceof RangeError ||
    (cause instanceof Error && 'code' in cause && cause.code === 'OUT_OF_MEMORY');
  if (!isMemory || cause instanceof BackendError) return cause;
  return outOfMemory({ what, expected: 'what the system gives', got, cause });
}
