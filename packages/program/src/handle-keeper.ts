import { requireLive } from './backend-errors.js';

/** A handle that says whether it was disposed of. */
export interface KeptHandle extends AsyncDisposable {
  readonly disposed: boolean;
}

/** The handles of one backend: told apart from another's, and disposed of with it. */
export class HandleKeeper {
  readonly #name: string;
  /** To dispose of with the backend. */
  readonly #live = new Set<KeptHandle>();
  /** All it ever made. */
  readonly #made = new WeakSet<KeptHandle>();
  /** On their way. */
  readonly #making = new Set<Promise<KeptHandle>>();
  #isOpen = true;

  /** `name`: of the backend. */
  constructor(name: string) {
    this.#name = name;
  }

  /** @throws BackendError `DISPOSED` after `close` */
  requireOpen(): void {
    requireLive(!this.#isOpen, 'backend');
  }

  own<Handle extends KeptHandle>(handle: Handle): Handle {
    for (const old of this.#live) if (old.disposed) this.#live.delete(old);
    this.#live.add(handle);
    this.#made.add(handle);
    return handle;
  }

  /**
   * Owns a handle that takes time to make, in which the backend may be closed.
   * @throws BackendError `DISPOSED`, also where making it failed because its parts went with the backend
   */
  async keep<Handle extends KeptHandle>(making: Promise<Handle>): Promise<Handle> {
    const kept = making.then(async (handle) => {
      if (this.#isOpen) return this.own(handle);
      await handle[Symbol.asyncDispose]();
      this.requireOpen();
      return handle;
    });
    this.#making.add(kept);
    try {
      return await kept;
    } catch (error) {
      this.requireOpen();
      throw error;
    } finally {
      this.#making.delete(kept);
    }
  }

  /** The handle, if it is one of these and of the kind; it may be disposed of. @throws TypeError */
  require<Handle extends KeptHandle>(
    handle: unknown,
    { kind, what }: { readonly kind: { readonly prototype: Handle }; readonly what: string },
  ): Handle {
    if (handle instanceof Object && this.#made.has(handle as KeptHandle)) {
      if (Object.prototype.isPrototypeOf.call(kind.prototype, handle)) return handle as Handle;
    }
    const got = handle instanceof Object ? 'another handle' : String(handle);
    throw new TypeError(`${what} must come from this backend (${this.#name}), got ${got}.`);
  }

  /** Disposes of every handle, those on their way included. */
  async close(): Promise<void> {
    this.#isOpen = false;
    await Promise.all([...this.#live].map((handle) => handle[Symbol.asyncDispose]()));
    this.#live.clear();
    await Promise.allSettled(this.#making);
  }
}
