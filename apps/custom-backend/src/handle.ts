/** What weights, states and executables share: bytes that are counted, and disposal that is idempotent and noticed. */
import { BackendError } from '@rwkv-ts/backend';

export interface Owner {
  readonly handles: Set<Handle>;
}

export abstract class Handle implements AsyncDisposable {
  readonly owner: Owner;
  readonly bytes: number;

  constructor(owner: Owner, bytes: number) {
    this.owner = owner;
    this.bytes = bytes;
    owner.handles.add(this);
  }

  assertAlive(): void {
    if (this.owner.handles.has(this)) return;
    throw new BackendError({
      code: 'DISPOSED',
      message: `${this.constructor.name}: used after it, or its backend, was disposed of.`,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.owner.handles.delete(this)) this.release();
  }

  /** Drops the memory; called once. Work is synchronous here, so there is never anything queued to wait for. */
  protected abstract release(): void;
}
