import { bufferUsage, mapModeRead } from './device/constants.js';
import type { DeviceContext } from './device/device-context.js';
import type { Holding } from './memory.js';

export interface ReadBackOptions {
  readonly holding: Holding;
  /** Buffers that are kept while nobody waits for them. */
  readonly mostIdle: number;
  /** For people. */
  readonly what: string;
}

/**
 * Mapped buffers that results come back through, used in turns: a result takes the smallest idle one that holds it, and
 * only more of them at a time than ever before make a new one.
 */
export class ReadBack {
  readonly #context: DeviceContext;
  readonly #options: ReadBackOptions;
  readonly #idle: GPUBuffer[] = [];

  constructor(context: DeviceContext, options: ReadBackOptions) {
    this.#context = context;
    this.#options = options;
  }

  /** @throws BackendError `OUT_OF_MEMORY` */
  take(bytes: number): GPUBuffer {
    let best = -1;
    for (let index = 0; index < this.#idle.length; index++) {
      const { size } = this.#idle[index]!;
      if (size >= bytes && (best < 0 || size < this.#idle[best]!.size)) best = index;
    }
    if (best >= 0) {
      const buffer = this.#idle[best]!;
      this.#idle[best] = this.#idle.at(-1)!;
      this.#idle.pop();
      return buffer;
    }
    const { holding, what } = this.#options;
    holding.take(bytes, what);
    const usage = bufferUsage.mapRead | bufferUsage.copyDestination;
    const buffer = this.#context.device.createBuffer({ size: bytes, usage, label: what });
    holding.keep(buffer);
    return buffer;
  }

  give(buffer: GPUBuffer): void {
    if (this.#idle.length < this.#options.mostIdle) this.#idle.push(buffer);
    else this.#options.holding.drop(buffer);
  }

  /** Waits for what is copied into it, shows its first `bytes` bytes to `read`, and gives it back. */
  async read(buffer: GPUBuffer, bytes: number, read: (mapped: ArrayBuffer) => void): Promise<void> {
    await buffer.mapAsync(mapModeRead, 0, bytes);
    read(buffer.getMappedRange(0, bytes));
    buffer.unmap();
    this.give(buffer);
  }
}
