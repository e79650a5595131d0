import type { StateSpec, States } from '@rwkv-ts/backend';
import { checkStateSpecs, requireLive, stateInvalid } from '@rwkv-ts/program';
import { DeviceHolding } from './device-holding.js';
import type { Engine } from './engine.js';

/** One spec's blocks on the device, slot after slot, and what a reset copies into one. */
export interface StoredState {
  readonly shape: readonly number[];
  /** Of slot 0. */
  readonly address: number;
  /** Of one slot. */
  readonly bytes: number;
  readonly initial: number;
  /** Where it stands in a snapshot, in bytes. */
  readonly offset: number;
}

/** Recurrent state in device memory; every change is queued with the steps. */
export class CudaStates implements States {
  readonly slots: number;
  readonly #engine: Engine;
  readonly #holding: DeviceHolding;
  readonly #states: ReadonlyMap<string, StoredState>;
  readonly #slotBytes: number;
  /** What a change failed with, for the next `read`. */
  #failure: { readonly error: Error } | undefined;
  #disposal: Promise<void> | undefined;

  static async create(
    engine: Engine,
    { specs, slots }: { readonly specs: readonly StateSpec[]; readonly slots: number },
  ): Promise<CudaStates> {
    checkStateSpecs(specs, slots);
    const holding = new DeviceHolding(engine);
    const what = `${slots} state slots`;
    const slotBytes = specs.reduce((total, { shape }) => total + 4 * countOf(shape), 0);
    try {
      const initial =
        slotBytes === 0 ? 0 : await holding.allocate({ bytes: aligned(slotBytes), what });
      const states = new Map<string, StoredState>();
      let offset = 0;
      for (const { name, shape } of specs) {
        const bytes = 4 * countOf(shape);
        const address = await holding.allocate({ bytes: bytes * slots, what });
        states.set(name, {
          shape: [...shape],
          address,
          bytes,
          initial: initial + offset,
          offset,
        });
        offset += bytes;
      }
      const handle = new CudaStates(engine, { slots, slotBytes, states, holding });
      if (slotBytes > 0) {
        const numbers = initialNumbers(specs);
        const bytes = new Uint8Array(numbers.buffer);
        const parts = Float64Array.of(initial, 0, slotBytes);
        await engine.guard(engine.addon.upload(engine.handle, bytes, parts), what);
      }
      for (let slot = 0; slot < slots; slot++) handle.reset(slot);
      return handle;
    } catch (error) {
      await holding.release();
      throw error;
    }
  }

  private constructor(
    engine: Engine,
    parts: {
      readonly slots: number;
      readonly slotBytes: number;
      readonly states: ReadonlyMap<string, StoredState>;
      readonly holding: DeviceHolding;
    },
  ) {
    this.#engine = engine;
    this.slots = parts.slots;
    this.#slotBytes = parts.slotBytes;
    this.#states = parts.states;
    this.#holding = parts.holding;
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
    this.#copy(({ address, bytes, initial }) => [address + slot * bytes, initial, bytes]);
  }

  copy(from: number, to: number): void {
    this.#check(from);
    this.#check(to);
    if (from === to) return;
    this.#copy(({ address, bytes }) => [address + to * bytes, address + from * bytes, bytes]);
  }

  write(slot: number, bytes: Uint8Array): void {
    this.#check(slot);
    if (!(bytes instanceof Uint8Array)) throw new TypeError('A snapshot must be a Uint8Array.');
    if (bytes.length !== this.#slotBytes)
      throw stateInvalid('length of the snapshot', `${this.#slotBytes} bytes`, bytes.length);
    const { addon, handle } = this.#engine;
    // A copy, because the caller may change its bytes at once.
    this.#queue(addon.upload(handle, new Uint8Array(bytes), this.#snapshotParts(slot)));
  }

  async read(slot: number): Promise<Uint8Array> {
    this.#check(slot);
    if (this.#failure) throw this.#failure.error;
    const { addon, handle } = this.#engine;
    const snapshot = new Uint8Array(this.#slotBytes);
    const reading = addon.download(handle, snapshot, this.#snapshotParts(slot));
    return this.#engine.guard(reading, 'A snapshot');
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#holding.release();
    return this.#disposal;
  }

  #copy(partOf: (state: StoredState) => [to: number, from: number, bytes: number]): void {
    const parts = Float64Array.from([...this.#states.values()].flatMap(partOf));
    this.#queue(this.#engine.addon.copy(this.#engine.handle, parts));
  }

  #queue(change: Promise<unknown>): void {
    this.#engine.guard(change, 'A change of states').catch((error: unknown) => {
      this.#failure ??= { error: error instanceof Error ? error : new Error(String(error)) };
    });
  }

  /** [address, offset in the snapshot, bytes] of each spec. */
  #snapshotParts(slot: number): Float64Array {
    return Float64Array.from(
      [...this.#states.values()].flatMap(({ address, bytes, offset }) => [
        address + slot * bytes,
        offset,
        bytes,
      ]),
    );
  }

  #check(slot: number): void {
    requireLive(this.disposed, 'states handle');
    if (!Number.isInteger(slot) || slot < 0 || slot >= this.slots)
      throw stateInvalid('slot', `an integer below ${this.slots}`, slot);
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

const aligned = (bytes: number): number => Math.ceil(bytes / 256) * 256;
const countOf = (shape: readonly number[]): number =>
  shape.reduce((total, size) => total * size, 1);
