import type { StateSpec, States } from '@rwkv-ts/backend';
import { checkStateSpecs, requireLive, stateInvalid } from '@rwkv-ts/program';
import type { JobQueue } from './job-queue.js';
import { Holding, type Memory } from './memory.js';
import { bytesPerNumber, countOf, createNumbers, type Numbers, type Precision } from './numbers.js';

/** One spec's numbers for all slots: [slots, ...shape]. */
export interface StateBlock {
  readonly spec: StateSpec;
  /** Numbers of one slot. */
  readonly size: number;
  readonly values: Numbers;
}

/** The states of the reference backend, which also shows them in full precision. */
export interface ReferenceStates extends States {
  /**
   * A copy of one state as this backend holds it, row-major; in f64 nothing is rounded. It shows the moment of the call:
   * await what is queued first.
   * @throws BackendError `STATE_INVALID` for an unknown name or a slot out of range, `DISPOSED`
   */
  values(slot: number, name: string): Float64Array;
}

export interface StatesOptions {
  readonly specs: readonly StateSpec[];
  readonly slots: number;
  readonly precision: Precision;
  readonly queue: JobQueue;
  readonly memory: Memory;
}

export class HostStates implements ReferenceStates {
  readonly slots: number;
  readonly #queue: JobQueue;
  readonly #holding: Holding;
  readonly #blocks: StateBlock[];
  /** Numbers of one slot over all specs. */
  readonly #slotSize: number;
  #disposal: Promise<void> | undefined;

  constructor({ specs, slots, precision, queue, memory }: StatesOptions) {
    checkStateSpecs(specs, slots);
    this.slots = slots;
    this.#queue = queue;
    this.#holding = new Holding(memory);
    this.#slotSize = specs.reduce((sum, { shape }) => sum + countOf(shape), 0);
    const bytes = this.#slotSize * slots * bytesPerNumber[precision];
    this.#blocks = this.#holding.allocate({ bytes, what: `${slots} state slots` }, () =>
      specs.map((spec) => {
        const size = countOf(spec.shape);
        return { spec, size, values: createNumbers(precision, size * slots) };
      }),
    );
    for (let slot = 0; slot < slots; slot++) this.#reset(slot);
  }

  get bytes(): number {
    return this.#holding.bytes;
  }

  get disposed(): boolean {
    return this.#disposal !== undefined;
  }

  block(name: string): StateBlock | undefined {
    return this.#blocks.find(({ spec }) => spec.name === name);
  }

  reset(slot: number): void {
    this.#check(slot);
    this.#queue.enqueueSync(() => {
      this.#reset(slot);
    });
  }

  copy(from: number, to: number): void {
    this.#check(from);
    this.#check(to);
    this.#queue.enqueueSync(() => {
      for (const { values, size } of this.#blocks) {
        values.copyWithin(to * size, from * size, (from + 1) * size);
      }
    });
  }

  async read(slot: number): Promise<Uint8Array> {
    this.#check(slot);
    return this.#queue.enqueue(async () => {
      const bytes = new Uint8Array(this.#slotSize * 4);
      const view = new DataView(bytes.buffer);
      let at = 0;
      for (const { values, size } of this.#blocks) {
        for (let index = slot * size; index < (slot + 1) * size; index++, at += 4) {
          view.setFloat32(at, values[index]!, true);
        }
      }
      return bytes;
    });
  }

  write(slot: number, bytes: Uint8Array): void {
    this.#check(slot);
    if (!(bytes instanceof Uint8Array)) throw new TypeError('A snapshot must be a Uint8Array.');
    const expected = this.#slotSize * 4;
    if (bytes.length !== expected) {
      throw stateInvalid('length of the snapshot', `${expected} bytes`, bytes.length);
    }
    // A copy for certain: `slice` of a Node Buffer is only a view.
    const copy = new Uint8Array(bytes);
    this.#queue.enqueueSync(() => {
      const view = new DataView(copy.buffer);
      let at = 0;
      for (const { values, size } of this.#blocks) {
        for (let index = slot * size; index < (slot + 1) * size; index++, at += 4) {
          values[index] = view.getFloat32(at, true);
        }
      }
    });
  }

  values(slot: number, name: string): Float64Array {
    this.#check(slot);
    const block = this.block(name);
    if (!block) {
      const names = this.#blocks.map(({ spec }) => spec.name).join(', ');
      throw stateInvalid('state name', `one of ${names}`, name);
    }
    const { values, size } = block;
    return Float64Array.from(values.subarray(slot * size, (slot + 1) * size));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#queue.enqueue(async () => {
      this.#blocks.length = 0;
      this.#holding.release();
    });
    return this.#disposal;
  }

  #check(slot: number): void {
    requireLive(this.disposed, 'states handle');
    if (!Number.isInteger(slot) || slot < 0 || slot >= this.slots) {
      throw stateInvalid('slot', `an integer below ${this.slots}`, slot);
    }
  }

  #reset(slot: number): void {
    for (const { spec, values, size } of this.#blocks) {
      const { initial } = spec;
      if (typeof initial === 'number') {
        values.fill(initial, slot * size, (slot + 1) * size);
        continue;
      }
      const row = size / initial.length;
      for (const [index, number] of initial.entries()) {
        const start = slot * size + index * row;
        values.fill(number, start, start + row);
      }
    }
  }
}
