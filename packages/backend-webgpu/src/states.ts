import type { StateSpec, States } from '@rwkv-ts/backend';
import { checkStateSpecs, outOfMemory, requireLive, stateInvalid } from '@rwkv-ts/program';
import { bufferUsage } from './device/constants.js';
import type { Engine } from './engine.js';
import { Holding } from './memory.js';
import { ReadBack } from './read-back.js';

export interface StatesOptions {
  readonly specs: readonly StateSpec[];
  readonly slots: number;
}

/** One spec's block of every slot. */
interface StoredState {
  readonly shape: readonly number[];
  readonly buffer: GPUBuffer;
  /** Of one slot. */
  readonly bytes: number;
  /** Where it stands in a snapshot. */
  readonly offset: number;
}

/** Recurrent state in device memory; every change goes into the queue that runs go into, in call order. */
export class WebGpuStates implements States {
  readonly slots: number;
  readonly #engine: Engine;
  readonly #holding: Holding;
  readonly #states: ReadonlyMap<string, StoredState>;
  readonly #slotBytes: number;
  /** A slot as `reset` makes it. */
  readonly #initial: GPUBuffer;
  /** One slot on its way to another: a buffer cannot be copied within itself. */
  readonly #transit: GPUBuffer;
  readonly #readBack: ReadBack;
  readonly #pending = new Set<Promise<unknown>>();
  #disposal: Promise<void> | undefined;

  static async create(engine: Engine, { specs, slots }: StatesOptions): Promise<WebGpuStates> {
    checkStateSpecs({ specs, slots }.specs, { specs, slots }.slots);
    const holding = new Holding(engine.memory);
    const { context } = engine;
    const { storage, copySource, copyDestination } = bufferUsage;
    const slotBytes = specs.reduce((total, { shape }) => total + 4 * countOf(shape), 0);
    const what = `${slots} state slots`;
    try {
      const states = new Map<string, StoredState>();
      let offset = 0;
      const usage = storage | copySource | copyDestination;
      for (const { name, shape } of specs) {
        const bytes = 4 * countOf(shape);
        if (!Number.isSafeInteger(bytes * slots)) {
          const { maxBufferSize, maxStorageBufferBindingSize } = context.device.limits;
          const expected = Math.min(maxBufferSize, maxStorageBufferBindingSize);
          throw outOfMemory({ what, expected, got: bytes * slots });
        }
        const buffer = await context.createBuffer({ bytes: bytes * slots, usage, what, holding });
        states.set(name, { shape: [...shape], buffer, bytes, offset });
        offset += bytes;
      }
      const copies = copySource | copyDestination;
      const own = { bytes: slotBytes, usage: copies, what, holding };
      const [initial, transit] = [await context.createBuffer(own), await context.createBuffer(own)];
      if (slotBytes > 0) context.device.queue.writeBuffer(initial, 0, initialNumbers(specs));
      const readBack = new ReadBack(context, { holding, mostIdle: 1, what: 'A snapshot' });
      if (slotBytes > 0) readBack.give(readBack.take(slotBytes));
      const parts = { states, slots, slotBytes, initial, transit, holding, readBack };
      const handle = new WebGpuStates(engine, parts);
      for (let slot = 0; slot < slots; slot++) handle.reset(slot);
      context.requireSound();
      return handle;
    } catch (error) {
      holding.release();
      throw error;
    }
  }

  private constructor(
    engine: Engine,
    parts: {
      readonly states: ReadonlyMap<string, StoredState>;
      readonly slots: number;
      readonly slotBytes: number;
      readonly initial: GPUBuffer;
      readonly transit: GPUBuffer;
      readonly holding: Holding;
      readonly readBack: ReadBack;
    },
  ) {
    this.#engine = engine;
    this.#states = parts.states;
    this.slots = parts.slots;
    this.#slotBytes = parts.slotBytes;
    this.#initial = parts.initial;
    this.#transit = parts.transit;
    this.#holding = parts.holding;
    this.#readBack = parts.readBack;
  }

  get bytes(): number {
    return this.#holding.bytes;
  }

  get disposed(): boolean {
    return this.#disposal !== undefined;
  }

  get(name: string): StoredState | undefined {
    return this.#states.get(name);
  }

  reset(slot: number): void {
    this.#check(slot);
    this.#copyAll(({ buffer, bytes, offset }, encoder) => {
      encoder.copyBufferToBuffer(this.#initial, offset, buffer, slot * bytes, bytes);
    });
  }

  copy(from: number, to: number): void {
    this.#check(from);
    this.#check(to);
    this.#copyAll(({ buffer, bytes, offset }, encoder) => {
      encoder.copyBufferToBuffer(buffer, from * bytes, this.#transit, offset, bytes);
      encoder.copyBufferToBuffer(this.#transit, offset, buffer, to * bytes, bytes);
    });
  }

  write(slot: number, bytes: Uint8Array): void {
    this.#check(slot);
    if (!(bytes instanceof Uint8Array)) throw new TypeError('A snapshot must be a Uint8Array.');
    if (bytes.length !== this.#slotBytes) {
      throw stateInvalid('length of the snapshot', `${this.#slotBytes} bytes`, bytes.length);
    }
    const own =
      bytes.buffer instanceof ArrayBuffer
        ? (bytes as Uint8Array<ArrayBuffer>)
        : new Uint8Array(bytes);
    const { queue } = this.#engine.context.device;
    for (const { buffer, bytes: size, offset } of this.#states.values()) {
      queue.writeBuffer(buffer, slot * size, own, offset, size);
    }
  }

  async read(slot: number): Promise<Uint8Array> {
    this.#check(slot);
    this.#engine.context.requireSound();
    const reading = this.#read(slot);
    this.#pending.add(reading);
    try {
      return await reading;
    } finally {
      this.#pending.delete(reading);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#release();
    return this.#disposal;
  }

  async #release(): Promise<void> {
    await Promise.allSettled(this.#pending);
    await this.#engine.context.idle();
    this.#holding.release();
  }

  /** Encodes before it waits for anything, so that the snapshot is that of the call. */
  async #read(slot: number): Promise<Uint8Array> {
    const size = this.#slotBytes;
    const snapshot = new Uint8Array(size);
    if (size === 0) return snapshot;
    const staging = this.#readBack.take(size);
    this.#copyAll(({ buffer, bytes, offset }, encoder) => {
      encoder.copyBufferToBuffer(buffer, slot * bytes, staging, offset, bytes);
    });
    try {
      await this.#readBack.read(staging, size, (mapped) => {
        snapshot.set(new Uint8Array(mapped));
      });
    } catch (cause) {
      throw await this.#engine.context.failure(cause);
    }
    return snapshot;
  }

  #copyAll(encode: (state: StoredState, encoder: GPUCommandEncoder) => void): void {
    const { device } = this.#engine.context;
    const encoder = device.createCommandEncoder();
    for (const state of this.#states.values()) encode(state, encoder);
    device.queue.submit([encoder.finish()]);
  }

  #check(slot: number): void {
    requireLive(this.disposed, 'states handle');
    if (!Number.isInteger(slot) || slot < 0 || slot >= this.slots) {
      throw stateInvalid('slot', `an integer below ${this.slots}`, slot);
    }
  }
}

/** One slot's numbers, spec after spec. */
function initialNumbers(specs: readonly StateSpec[]): Float32Array<ArrayBuffer> {
  const numbers = new Float32Array(specs.reduce((total, { shape }) => total + countOf(shape), 0));
  let at = 0;
  for (const { shape, initial } of specs) {
    const values = typeof initial === 'number' ? [initial] : initial;
    const row = countOf(shape) / values.length;
    for (const value of values) numbers.fill(value, at, (at += row));
  }
  return numbers;
}

const countOf = (shape: readonly number[]): number =>
  shape.reduce((total, size) => total * size, 1);
