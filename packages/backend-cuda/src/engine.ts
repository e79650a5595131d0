/** What the handles of one backend share: its devices behind the addon, and the count of their memory. */
import { BackendError } from '@rwkv-ts/backend';
import { Memory } from '@rwkv-ts/native';
import type { DeviceFacts, EncodedLaunches, NativeAddon, NativeHandle } from './native.js';

/** What the devices of one backend have in common. */
export class DeviceGroup {
  /** Of all of them together, and the host's. */
  readonly memory: Memory;
  /** Whether copies may go from device to device without the host's memory. */
  readonly peerCopies: boolean;
  /** By the ordinals of a sender and a taker: whether such copies were tried, and arrived. */
  readonly peers = new Map<string, Promise<boolean>>();
  #lost: Error | undefined;

  constructor({
    memoryLimit,
    peerCopies,
  }: {
    readonly memoryLimit: number;
    readonly peerCopies: boolean;
  }) {
    // V8 need not hurry because a device is full.
    this.memory = new Memory({ adjustMemory: () => 0 }, memoryLimit);
    this.peerCopies = peerCopies;
  }

  /** One device less is a backend less: what the others hold is of no use alone. */
  lose(error: Error): void {
    this.#lost ??= error;
  }

  /** @throws BackendError `DEVICE_LOST` where one of the devices is */
  requireUsable(): void {
    if (this.#lost) throw this.#lost;
  }
}

/** One device. */
export class Engine {
  readonly addon: NativeAddon;
  readonly handle: NativeHandle;
  readonly facts: DeviceFacts;
  readonly ordinal: number;
  readonly group: DeviceGroup;
  #graphs = 0;

  constructor(parts: {
    readonly addon: NativeAddon;
    readonly handle: NativeHandle;
    readonly facts: DeviceFacts;
    readonly ordinal: number;
    readonly group: DeviceGroup;
  }) {
    this.addon = parts.addon;
    this.handle = parts.handle;
    this.facts = parts.facts;
    this.ordinal = parts.ordinal;
    this.group = parts.group;
  }

  /** For people. */
  get label(): string {
    return `cuda:${this.ordinal} ${this.facts.name}`;
  }

  /** Runs launches now; `step` where kernels read one. */
  async launch({ words, bytes }: EncodedLaunches, step = 0): Promise<void> {
    await this.guard(this.addon.launch(this.handle, words, bytes, step), 'A launch');
  }

  /** What nobody holds of the device's memory. @throws BackendError `DEVICE_LOST`, `DISPOSED` */
  freeBytes(): Promise<number> {
    return this.guard(this.addon.freeBytes(this.handle), 'A look at the memory');
  }

  /** A number that no other graph has. */
  nextGraph(): number {
    return ++this.#graphs;
  }

  /**
   * The addon's errors as those of the contract. `what` is a noun, for the message.
   * @throws BackendError `DEVICE_LOST` also where another device of the backend is
   */
  async guard<Result>(work: Promise<Result>, what: string): Promise<Result> {
    try {
      const result = await work;
      this.group.requireUsable();
      return result;
    } catch (cause) {
      throw this.errorOf(cause, what);
    }
  }

  errorOf(cause: unknown, what: string): unknown {
    const error = deviceError(cause, { what, device: this.label });
    if (error !== cause && isLasting(cause)) this.group.lose(error as Error);
    return error;
  }
}

/** From then on nothing works on the device. */
const isLasting = (cause: unknown): boolean =>
  cause instanceof Error && 'code' in cause && cause.code === 'DEVICE_LOST';

/** @returns what to throw for an error of the addon's */
export function deviceError(
  cause: unknown,
  { what, device }: { readonly what: string; readonly device: string },
): unknown {
  if (!(cause instanceof Error) || cause instanceof BackendError || !('code' in cause))
    return cause;
  switch (cause.code) {
    case 'OUT_OF_MEMORY':
      return new BackendError({
        code: 'OUT_OF_MEMORY',
        message: `${what} needs more memory than ${device} gives: ${cause.message}.`,
        expected: 'what the device gives',
        got: cause.message,
        cause,
      });
    case 'DEVICE_LOST':
    case 'DRIVER_FAILED':
      return new BackendError({
        code: 'DEVICE_LOST',
        message: `The device ${device} is lost: ${cause.message}.`,
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
