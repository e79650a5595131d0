import type { StateSpec, States } from '@rwkv-ts/backend';
import { checkStateSpecs, requireLive, stateInvalid } from '@rwkv-ts/program';
import type { JobQueue } from './job-queue.js';
import { Holding, type Memory } from './memory.js';
import type { Precision } from './numbers.js';
import {
  copySlot,
  copySnapshot,
  createBlocks,
  readSlot,
  requireSlot,
  resetSlot,
  type StateBlock,
  writeSlot,
} from './state-blocks.js';

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
  #disposal: Promise<void> | undefined;

  constructor({ specs, slots, precision, queue, memory }: StatesOptions) {
    checkStateSpecs(specs, slots);
    this.slots = slots;
    this.#queue = queue;
    this.#holding = new Holding(memory);
    const what = `${slots} state slots`;
    this.#blocks = createBlocks(specs, { slots, precision, holding: this.#holding, what });
    for (let slot = 0; slot < slots; slot++) resetSlot(this.#blocks, slot);
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
      resetSlot(this.#blocks, slot);
    });
  }

  copy(from: number, to: number): void {
    this.#check(from);
    this.#check(to);
    this.#queue.enqueueSync(() => {
      copySlot(this.#blocks, { from, to });
    });
  }

  async read(slot: number): Promise<Uint8Array> {
    this.#check(slot);
    return this.#queue.enqueue(async () => readSlot(this.#blocks, slot));
  }

  write(slot: number, bytes: Uint8Array): void {
    this.#check(slot);
    const copy = copySnapshot(this.#blocks, bytes);
    this.#queue.enqueueSync(() => {
      writeSlot(this.#blocks, slot, copy);
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
    requireSlot(slot, this.slots);
  }
}
