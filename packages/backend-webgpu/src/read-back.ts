import { bufferUsage, mapModeRead } from './device/constants.js';
import type { DeviceContext } from './device/device-context.js';
import type { Holding } from './memory.js';

interface Slot {
  readonly buffer: GPUBuffer;
  readonly bytes: number;
}

/**
 * Mapped buffers that rows come back through, used in turns: a step takes the smallest idle one that holds its rows, and
 * only more steps at a time than ever before make a new one.
 */
export class ReadBack {
  readonly #context: DeviceContext;
  readonly #holding: Holding;
  readonly #idle: Slot[] = [];

  constructor(context: DeviceContext, holding: Holding) {
    this.#context = context;
    this.#holding = holding;
  }

  /** @throws BackendError `OUT_OF_MEMORY` */
  take(bytes: number): Slot {
    let best = -1;
    for (let index = 0; index < this.#idle.length; index++) {
      const slot = this.#idle[index]!;
      if (slot.bytes >= bytes && (best < 0 || slot.bytes < this.#idle[best]!.bytes)) best = index;
    }
    if (best >= 0) {
      const slot = this.#idle[best]!;
      this.#idle[best] = this.#idle.at(-1)!;
      this.#idle.pop();
      return slot;
    }
    // Powers of two, so that steps of other numbers of rows find one that fits.
    const size = 2 ** Math.ceil(Math.log2(Math.max(256, bytes)));
    this.#holding.take(size, 'A step’s rows');
    const usage = bufferUsage.mapRead | bufferUsage.copyDestination;
    const buffer = this.#context.device.createBuffer({ size, usage, label: 'rows' });
    this.#holding.keep(buffer);
    return { buffer, bytes: size };
  }

  /** Waits for the step that copies into it, and gives its numbers to `read`. */
  async read(slot: Slot, bytes: number, read: (numbers: Float32Array) => void): Promise<void> {
    await slot.buffer.mapAsync(mapModeRead, 0, bytes);
    read(new Float32Array(slot.buffer.getMappedRange(0, bytes)));
    slot.buffer.unmap();
    this.#idle.push(slot);
  }
}
