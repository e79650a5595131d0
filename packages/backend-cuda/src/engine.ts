/** What the handles of one backend share: the device behind the addon, and the count of its memory. */
import { BackendError } from '@rwkv-ts/backend';
import { Memory } from '@rwkv-ts/native';
import type { DeviceFacts, EncodedLaunches, NativeAddon, NativeHandle } from './native.js';

export class Engine {
  readonly addon: NativeAddon;
  readonly handle: NativeHandle;
  readonly facts: DeviceFacts;
  readonly memory: Memory;
  #graphs = 0;

  constructor(parts: {
    readonly addon: NativeAddon;
    readonly handle: NativeHandle;
    readonly facts: DeviceFacts;
    readonly memoryLimit: number;
  }) {
    this.addon = parts.addon;
    this.handle = parts.handle;
    this.facts = parts.facts;
    // V8 need not hurry because a device is full.
    this.memory = new Memory({ adjustMemory: () => 0 }, parts.memoryLimit);
  }

  /** Runs launches now; `step` where kernels read one. */
  async launch({ words, bytes }: EncodedLaunches, step = 0): Promise<void> {
    await this.guard(this.addon.launch(this.handle, words, bytes, step), 'A launch');
  }

  /** A number that no other graph has. */
  nextGraph(): number {
    return ++this.#graphs;
  }

  /** The addon's errors as those of the contract. `what` is a noun, for the message. */
  async guard<Result>(work: Promise<Result>, what: string): Promise<Result> {
    try {
      return await work;
    } catch (cause) {
      throw this.errorOf(cause, what);
    }
  }

  errorOf(cause: unknown, what: string): unknown {
    return deviceError(cause, { what, facts: this.facts });
  }
}

/** @returns what to throw for an error of the addon's */
export function deviceError(
  cause: unknown,
  { what, facts }: { readonly what: string; readonly facts?: DeviceFacts },
): unknown {
  if (!(cause instanceof Error) || !('code' in cause)) return cause;
  const where = facts ? `The device ${facts.name}` : 'The device';
  switch (cause.code) {
    case 'OUT_OF_MEMORY':
      return new BackendError({
        code: 'OUT_OF_MEMORY',
        message: `${what} needs more memory than there is: ${cause.message}.`,
        expected: 'what the device gives',
        got: cause.message,
        cause,
      });
    case 'DEVICE_LOST':
    case 'DRIVER_FAILED':
      return new BackendError({
        code: 'DEVICE_LOST',
        message: `${where} is lost: ${cause.message}.`,
        cause,
      });
    case 'STOPPED':
      return new BackendError({
        code: 'DISPOSED',
        message: 'The backend was disposed of.',
        cause,
      });
    default:
      return cause;
  }
}
