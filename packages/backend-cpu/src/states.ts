import type { StateSpec, States } from '@rwkv-ts/backend';
import { Holding, nativeError } from '@rwkv-ts/native';
import { checkStateSpecs, requireLive, stateInvalid } from '@rwkv-ts/program';
import type { Engine } from './engine.js';
import type { NativeHandle } from './native.js';

export interface StatesOptions {
  readonly specs: readonly StateSpec[];
  readonly slots: number;
}

/** Recurrent state in memory of the addon; every change is queued with the steps. */
export class CpuStates implements States {
  readonly slots: number;
  readonly handle: NativeHandle;
  readonly #engine: Engine;
  readonly #holding: Holding;
  readonly #specs: ReadonlyMap<
    string,
    { readonly index: number; readonly shape: readonly number[] }
  >;
  readonly #slotBytes: number;
  #disposal: Promise<void> | undefined;

  static async create(engine: Engine, options: StatesOptions): Promise<CpuStates> {
    checkStateSpecs(options.specs, options.slots);
    const { specs, slots } = options;
    const sizes = Float64Array.from(specs, ({ shape }) => countOf(shape));
    const slotSize = sizes.reduce((total, size) => total + size, 0);
    const { values, repeats } = initialNumbers(specs);
    const holding = new Holding(engine.memory);
    const handle = await holding.allocate(
      { bytes: slotSize * slots * 4, what: `${slots} state slots` },
      async () => {
        const states = engine.addon.createStates(sizes, values, slots, repeats);
        await engine.addon.allocateStates(engine.handle, states);
        return states;
      },
    );
    return new CpuStates(engine, { ...options, handle, holding, slotSize });
  }

  private constructor(
    engine: Engine,
    parts: StatesOptions & { handle: NativeHandle; holding: Holding; slotSize: number },
  ) {
    this.#engine = engine;
    this.slots = parts.slots;
    this.handle = parts.handle;
    this.#holding = parts.holding;
    this.#slotBytes = parts.slotSize * 4;
    this.#specs = new Map(
      parts.specs.map(({ name, shape }, index) => [name, { index, shape: [...shape] }]),
    );
  }

  get bytes(): number {
    return this.#holding.bytes;
  }

  get disposed(): boolean {
    return this.#disposal !== undefined;
  }

  spec(name: string): { readonly index: number; readonly shape: readonly number[] } | undefined {
    return this.#specs.get(name);
  }

  reset(slot: number): void {
    this.#check(slot);
    const { addon, handle } = this.#engine;
    void addon.resetState(handle, this.handle, slot);
  }

  copy(from: number, to: number): void {
    this.#check(from);
    this.#check(to);
    const { addon, handle } = this.#engine;
    void addon.copyState(handle, this.handle, from, to);
  }

  async read(slot: number): Promise<Uint8Array> {
    this.#check(slot);
    const { addon, handle } = this.#engine;
    return addon.readState(handle, this.handle, slot, this.#snapshot(this.#slotBytes));
  }

  write(slot: number, bytes: Uint8Array): void {
    this.#check(slot);
    if (!(bytes instanceof Uint8Array)) throw new TypeError('A snapshot must be a Uint8Array.');
    if (bytes.length !== this.#slotBytes) {
      throw stateInvalid('length of the snapshot', `${this.#slotBytes} bytes`, bytes.length);
    }
    const { addon, handle } = this.#engine;
    // A copy, because the caller may change its bytes at once.
    void addon.writeState(handle, this.handle, slot, this.#snapshot(bytes));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#release();
    return this.#disposal;
  }

  async #release(): Promise<void> {
    await this.#engine.addon.releaseStates(this.#engine.handle, this.handle);
    this.#holding.release();
  }

  #snapshot(from: number | Uint8Array): Uint8Array {
    try {
      return typeof from === 'number' ? new Uint8Array(from) : new Uint8Array(from);
    } catch (error) {
      const cause =
        error instanceof RangeError ? Object.assign(error, { code: 'OUT_OF_MEMORY' }) : error;
      throw nativeError(cause, { what: 'A snapshot', got: this.#slotBytes });
    }
  }

  #check(slot: number): void {
    requireLive(this.disposed, 'states handle');
    if (!Number.isInteger(slot) || slot < 0 || slot >= this.slots) {
      throw stateInvalid('slot', `an integer below ${this.slots}`, slot);
    }
  }
}

/** One slot's numbers, spec after spec: each value, and how often it is repeated. */
function initialNumbers(specs: readonly StateSpec[]): {
  readonly values: Float32Array;
  readonly repeats: Float64Array;
} {
  const rows = specs.flatMap(({ shape, initial }) => {
    const values = typeof initial === 'number' ? [initial] : initial;
    return values.map((value) => ({ value, count: countOf(shape) / values.length }));
  });
  return {
    values: Float32Array.from(rows, ({ value }) => value),
    repeats: Float64Array.from(rows, ({ count }) => count),
  };
}

const countOf = (shape: readonly number[]): number =>
  shape.reduce((total, size) => total * size, 1);
