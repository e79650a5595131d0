/** Recurrent state: per spec one block [slots, size], so that a slot is an offset. */
import { BackendError, type States, type StateSpec } from '@rwkv-ts/backend';
import { Handle, type Owner } from './handle.js';

export interface StateBlock {
  readonly shape: readonly number[];
  /** Numbers per slot. */
  readonly size: number;
  /** [slots, size] */
  readonly data: Float32Array;
  /** [size], what `reset` writes. */
  readonly initial: Float32Array;
}

const product = (shape: readonly number[]) => shape.reduce((total, size) => total * size, 1);

function allocate({ shape, initial }: StateSpec, slots: number): StateBlock {
  const size = product(shape);
  const perRow = size / (shape[0] ?? 1);
  const start = Float32Array.from({ length: size }, (_, index) =>
    typeof initial === 'number' ? initial : initial[Math.floor(index / perRow)]!,
  );
  return { shape, size, data: new Float32Array(size * slots), initial: start };
}

export class CustomStates extends Handle implements States {
  readonly slots: number;
  readonly blocks: Map<string, StateBlock>;
  readonly #snapshotBytes: number;

  constructor(owner: Owner, specs: readonly StateSpec[], slots: number) {
    if (!Number.isSafeInteger(slots) || slots < 1) {
      throw new TypeError(`slots must be a positive integer, got ${slots}.`);
    }
    for (const { name, shape } of specs) {
      if (!shape.every((size) => Number.isSafeInteger(size) && size > 0)) {
        throw new TypeError(`State ${name} must have positive sizes, got [${shape.join(', ')}].`);
      }
    }
    if (new Set(specs.map(({ name }) => name)).size < specs.length) {
      throw new TypeError('A state is named twice.');
    }
    const numbers = specs.reduce((total, { shape }) => total + product(shape), 0);
    super(owner, 4 * numbers * (slots + 1));
    this.slots = slots;
    this.#snapshotBytes = 4 * numbers;
    this.blocks = new Map(specs.map((spec) => [spec.name, allocate(spec, slots)]));
    for (let slot = 0; slot < slots; slot++) this.reset(slot);
  }

  reset(slot: number): void {
    this.#check(slot);
    for (const { data, initial, size } of this.blocks.values()) data.set(initial, slot * size);
  }

  copy(from: number, to: number): void {
    this.#check(from);
    this.#check(to);
    for (const { data, size } of this.blocks.values()) {
      data.copyWithin(to * size, from * size, (from + 1) * size);
    }
  }

  async read(slot: number): Promise<Uint8Array> {
    this.#check(slot);
    const view = new DataView(new ArrayBuffer(this.#snapshotBytes));
    let at = 0;
    for (const { data, size } of this.blocks.values()) {
      for (const value of data.subarray(slot * size, (slot + 1) * size)) {
        view.setFloat32(at, value, true);
        at += 4;
      }
    }
    return new Uint8Array(view.buffer);
  }

  write(slot: number, bytes: Uint8Array): void {
    this.#check(slot);
    if (bytes.length !== this.#snapshotBytes) {
      throw new BackendError({
        code: 'STATE_INVALID',
        message: `A snapshot of these states has ${this.#snapshotBytes} bytes, got ${bytes.length}.`,
        expected: this.#snapshotBytes,
        got: bytes.length,
      });
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let at = 0;
    for (const { data, size } of this.blocks.values()) {
      for (let index = 0; index < size; index++, at += 4) {
        data[slot * size + index] = view.getFloat32(at, true);
      }
    }
  }

  #check(slot: number): void {
    this.assertAlive();
    if (Number.isSafeInteger(slot) && slot >= 0 && slot < this.slots) return;
    throw new BackendError({
      code: 'STATE_INVALID',
      message: `There are ${this.slots} slots, counted from 0; got slot ${slot}.`,
      expected: this.slots,
      got: slot,
    });
  }

  protected release(): void {
    this.blocks.clear();
  }
}
