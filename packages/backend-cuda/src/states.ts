import type { StateSpec, States } from '@rwkv-ts/backend';
import { checkStateSpecs, requireLive, stateInvalid } from '@rwkv-ts/program';
import { moveMemory } from './crossing.js';
import { DeviceHolding } from './device-holding.js';
import type { Engine } from './engine.js';

/** One spec's blocks, slot after slot, then one with what a reset copies; all on one device. */
interface StoredState {
  readonly shape: readonly number[];
  /** Of one block. */
  readonly bytes: number;
  /** Where it stands in a snapshot, in bytes. */
  readonly offset: number;
  /** By its place in the backend. */
  device: number;
  /** Of slot 0. */
  address: number;
  holding: DeviceHolding;
  /** Executables that have its address in their graphs: it stays where it is. */
  users: number;
}

export interface CudaStatesOptions {
  readonly specs: readonly StateSpec[];
  readonly slots: number;
  /** What each of the devices can take. */
  readonly shares: readonly number[];
}

/**
 * Recurrent state in device memory; every change is queued with the steps.
 *
 * Specs come before anything says where their ops will be, so they are spread over the devices in their order, which is
 * that of the program's ops, by the devices' shares. A program moves what it wants elsewhere when it is compiled, and what a
 * live executable uses stays: the ops of others go there.
 */
export class CudaStates implements States {
  readonly slots: number;
  readonly #engines: readonly Engine[];
  readonly #states: ReadonlyMap<string, StoredState>;
  readonly #slotBytes: number;
  /** What is being moved. */
  #moving: Promise<unknown> = Promise.resolve();
  /** What a change failed with, for the next `read`. */
  #failure: { readonly error: Error } | undefined;
  #disposal: Promise<void> | undefined;

  static async create(
    engines: readonly Engine[],
    { specs, slots, shares }: CudaStatesOptions,
  ): Promise<CudaStates> {
    checkStateSpecs(specs, slots);
    const what = `${slots} state slots`;
    const sizes = specs.map(({ shape }) => 4 * countOf(shape));
    const devices = spread(sizes, shares);
    const states = new Map<string, StoredState>();
    const slotBytes = sizes.reduce((total, bytes) => total + bytes, 0);
    const handle = new CudaStates(engines, { slots, slotBytes, states });
    let offset = 0;
    try {
      for (const [at, spec] of specs.entries()) {
        const [bytes, device] = [sizes[at]!, devices[at]!];
        const engine = engines[device]!;
        const holding = new DeviceHolding(engine);
        const shape = [...spec.shape];
        const own = { shape, bytes, offset, device, address: 0, holding, users: 0 };
        states.set(spec.name, own);
        own.address = await holding.allocate({ bytes: bytes * (slots + 1), what });
        const initial = new Uint8Array(initialNumbers(spec).buffer);
        const parts = Float64Array.of(own.address + slots * bytes, 0, bytes);
        await engine.guard(engine.addon.upload(engine.handle, initial, parts), what);
        offset += bytes;
      }
      for (let slot = 0; slot < slots; slot++) handle.reset(slot);
      return handle;
    } catch (error) {
      await handle[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(
    engines: readonly Engine[],
    parts: {
      readonly slots: number;
      readonly slotBytes: number;
      readonly states: ReadonlyMap<string, StoredState>;
    },
  ) {
    this.#engines = engines;
    this.slots = parts.slots;
    this.#slotBytes = parts.slotBytes;
    this.#states = parts.states;
  }

  get bytes(): number {
    return [...this.#states.values()].reduce((total, { holding }) => total + holding.bytes, 0);
  }

  get disposed(): boolean {
    return this.#disposal !== undefined;
  }

  shapeOf(name: string): readonly number[] | undefined {
    return this.#states.get(name)?.shape;
  }

  /** Of slot 0; there, where `moveTo` says that it is. */
  addressOf(name: string): number {
    return this.#states.get(name)!.address;
  }

  /** Of all slots. */
  bytesOf(name: string): number {
    return this.#states.get(name)!.bytes * (this.slots + 1);
  }

  /** The device that a live executable holds it on. */
  homeOf(name: string): number | undefined {
    const { users, device } = this.#states.get(name)!;
    return users > 0 ? device : undefined;
  }

  /**
   * Keeps the states on these devices from now on, where they soon are, until they are let go.
   * @throws BackendError `OUT_OF_MEMORY`, `DEVICE_LOST`, `DISPOSED`; then they are let go already
   */
  async holdOn(homes: ReadonlyMap<string, number>): Promise<void> {
    const wanted = [...homes].map(([name, device]) => ({ state: this.#states.get(name)!, device }));
    const moved = wanted.filter(({ state, device }) => state.device !== device);
    for (const { state } of wanted) state.users++;
    const moving = this.#moving.then(async () => {
      for (const { state, device } of moved) {
        requireLive(this.disposed, 'states handle');
        if (state.device !== device) await this.#move(state, device);
      }
    });
    this.#moving = moving.catch(() => undefined);
    try {
      await moving;
    } catch (error) {
      this.letGo(homes.keys());
      throw error;
    }
  }

  letGo(names: Iterable<string>): void {
    for (const name of names) this.#states.get(name)!.users--;
  }

  reset(slot: number): void {
    this.#check(slot);
    this.#copy(slot, this.slots);
  }

  copy(from: number, to: number): void {
    this.#check(from);
    this.#check(to);
    if (from !== to) this.#copy(to, from);
  }

  write(slot: number, bytes: Uint8Array): void {
    this.#check(slot);
    if (!(bytes instanceof Uint8Array)) throw new TypeError('A snapshot must be a Uint8Array.');
    if (bytes.length !== this.#slotBytes)
      throw stateInvalid('length of the snapshot', `${this.#slotBytes} bytes`, bytes.length);
    // A copy, because the caller may change its bytes at once.
    const snapshot = new Uint8Array(bytes);
    this.#onDevices((engine, states) => {
      const parts = snapshotParts(states, slot);
      this.#queue(engine, engine.addon.upload(engine.handle, snapshot, parts));
    });
  }

  async read(slot: number): Promise<Uint8Array> {
    this.#check(slot);
    if (this.#failure) throw this.#failure.error;
    const snapshot = new Uint8Array(this.#slotBytes);
    const reading = this.#onDevices((engine, states) => {
      const parts = snapshotParts(states, slot);
      return engine.guard(engine.addon.download(engine.handle, snapshot, parts), 'A snapshot');
    });
    // None may still fill the snapshot when the caller hears of it.
    const outcomes = await Promise.allSettled(reading);
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
    return snapshot;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#release();
    return this.#disposal;
  }

  async #release(): Promise<void> {
    await this.#moving;
    await Promise.all([...this.#states.values()].map(({ holding }) => holding.release()));
  }

  /** What is queued before comes along, and what is queued later finds it there. */
  async #move(state: StoredState, device: number): Promise<void> {
    const [from, to] = [this.#engines[state.device]!, this.#engines[device]!];
    const old = { ...state };
    const bytes = state.bytes * (this.slots + 1);
    const holding = new DeviceHolding(to);
    try {
      const address = await holding.allocate({ bytes, what: `${this.slots} state slots` });
      await moveMemory(
        { from, to, passages: [{ source: old.address, target: address, bytes }] },
        () => {
          Object.assign(state, { device, address, holding });
        },
      );
    } catch (error) {
      if (state.holding !== holding) await holding.release();
      throw error;
    } finally {
      if (state.holding === holding) await old.holding.release();
    }
  }

  /** A block of each spec to another. */
  #copy(to: number, from: number): void {
    this.#onDevices((engine, states) => {
      const parts = states.flatMap(({ address, bytes }) => [
        address + to * bytes,
        address + from * bytes,
        bytes,
      ]);
      this.#queue(engine, engine.addon.copy(engine.handle, Float64Array.from(parts)));
    });
  }

  /** For each device that has some of the states; the first one where there are none. */
  #onDevices<Result>(work: (engine: Engine, states: readonly StoredState[]) => Result): Result[] {
    const states = [...this.#states.values()];
    const own = this.#engines.map((_, device) => states.filter((state) => state.device === device));
    return this.#engines.flatMap((engine, device) => {
      const isFirst = states.length === 0 && device === 0;
      return own[device]!.length > 0 || isFirst ? [work(engine, own[device]!)] : [];
    });
  }

  #queue(engine: Engine, change: Promise<unknown>): void {
    engine.guard(change, 'A change of states').catch((error: unknown) => {
      this.#failure ??= { error: error instanceof Error ? error : new Error(String(error)) };
    });
  }

  #check(slot: number): void {
    requireLive(this.disposed, 'states handle');
    if (!Number.isInteger(slot) || slot < 0 || slot >= this.slots)
      throw stateInvalid('slot', `an integer below ${this.slots}`, slot);
  }
}

/** [address, offset in the snapshot, bytes] of each spec. */
function snapshotParts(states: readonly StoredState[], slot: number): Float64Array {
  return Float64Array.from(
    states.flatMap(({ address, bytes, offset }) => [address + slot * bytes, offset, bytes]),
  );
}

/** The device of each spec: the one that has the middle of its bytes, where the bytes of all are laid over the shares. */
export function spread(sizes: readonly number[], shares: readonly number[]): number[] {
  const given = shares.some((share) => share > 0) ? shares : shares.map(() => 1);
  const whole = given.reduce((sum, share) => sum + share, 0);
  const total = sizes.reduce((sum, bytes) => sum + bytes, 0);
  const last = given.findLastIndex((share) => share > 0);
  let [before, device, end] = [0, 0, given[0]!];
  return sizes.map((bytes) => {
    const middle = ((before + bytes / 2) / total) * whole;
    before += bytes;
    while (device < last && middle > end) end += given[++device]!;
    return device;
  });
}

/** One slot's. */
function initialNumbers({ shape, initial }: StateSpec): Float32Array<ArrayBuffer> {
  const numbers = new Float32Array(countOf(shape));
  const values = typeof initial === 'number' ? [initial] : initial;
  const row = numbers.length / values.length;
  let at = 0;
  for (const value of values) numbers.fill(value, at, (at += row));
  return numbers;
}

const countOf = (shape: readonly number[]): number =>
  shape.reduce((total, size) => total * size, 1);
