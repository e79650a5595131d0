import { Holding } from '@rwkv-ts/native';
import { outOfMemory } from '@rwkv-ts/program';
import type { Engine } from './engine.js';

export interface MemoryRequest {
  readonly bytes: number;
  /** A noun, for the message of a refusal. */
  readonly what: string;
  /** Memory of the host that kernels read over the bus; default the device's. */
  readonly where?: 'device' | 'host';
}

/** Memory of one handle on a device, and what it maps of the host's: counted, and given back at once. */
export class DeviceHolding {
  readonly #engine: Engine;
  readonly #holding: Holding;
  readonly #addresses = new Map<number, number>();

  constructor(engine: Engine) {
    this.#engine = engine;
    this.#holding = new Holding(engine.group.memory);
  }

  get bytes(): number {
    return this.#holding.bytes;
  }

  /** The address, a multiple of 256. @throws BackendError `OUT_OF_MEMORY` before anything is allocated, `DEVICE_LOST` */
  async allocate({ bytes, what, where = 'device' }: MemoryRequest): Promise<number> {
    const { addon, handle } = this.#engine;
    const address = await this.#holding.allocate({ bytes, what }, async () => {
      if (where === 'host') return this.#engine.guard(addon.allocateHost(handle, bytes), what);
      const free = await this.#engine.freeBytes();
      const refused = { what: `${what}, on ${this.#engine.label},`, expected: free, got: bytes };
      if (bytes > free) throw outOfMemory(refused);
      try {
        return await this.#engine.guard(addon.allocate(handle, bytes), what);
      } catch (cause) {
        throw isRefusal(cause) ? outOfMemory({ ...refused, cause }) : cause;
      }
    });
    this.#addresses.set(address, bytes);
    return address;
  }

  /** After everything that is queued. What fails here fails because the device is gone, with its memory. */
  async release(): Promise<void> {
    const { addon, handle } = this.#engine;
    const addresses = [...this.#addresses.keys()];
    this.#addresses.clear();
    await Promise.allSettled(addresses.map((address) => addon.release(handle, address)));
    this.#holding.release();
  }
}

/** The driver may refuse all the same: what is free need not lie together. */
export const isRefusal = (cause: unknown): boolean =>
  cause instanceof Error && 'code' in cause && cause.code === 'OUT_OF_MEMORY';
