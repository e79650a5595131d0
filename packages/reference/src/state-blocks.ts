/** The memory of recurrent states, and what happens to one slot of it. */
import type { StateSpec } from '@rwkv-ts/backend';
import { stateInvalid } from '@rwkv-ts/program';
import type { Holding } from './memory.js';
import { bytesPerNumber, countOf, createNumbers, type Numbers, type Precision } from './numbers.js';

/** One spec's numbers for all slots: [slots, ...shape]. */
export interface StateBlock {
  readonly spec: StateSpec;
  /** Numbers of one slot. */
  readonly size: number;
  readonly values: Numbers;
}

/** All at zero, whatever the specs say. */
export function createBlocks(
  specs: readonly StateSpec[],
  options: {
    readonly slots: number;
    readonly precision: Precision;
    readonly holding: Holding;
    readonly what: string;
  },
): StateBlock[] {
  const { slots, precision, holding, what } = options;
  const slotSize = specs.reduce((sum, { shape }) => sum + countOf(shape), 0);
  const bytes = slotSize * slots * bytesPerNumber[precision];
  return holding.allocate({ bytes, what }, () =>
    specs.map((spec) => {
      const size = countOf(spec.shape);
      return { spec, size, values: createNumbers(precision, size * slots) };
    }),
  );
}

/** The numbers of `initial`: one for all, or one per leading row. */
export function writeInitial(
  { initial }: StateSpec,
  { values, at, size }: { readonly values: Numbers; readonly at: number; readonly size: number },
): void {
  const numbers = typeof initial === 'number' ? [initial] : initial;
  const row = size / numbers.length;
  for (const [index, number] of numbers.entries()) {
    values.fill(number, at + index * row, at + (index + 1) * row);
  }
}

export function resetSlot(blocks: readonly StateBlock[], slot: number): void {
  for (const { spec, values, size } of blocks)
    writeInitial(spec, { values, at: slot * size, size });
}

export function copySlot(
  blocks: readonly StateBlock[],
  { from, to }: { readonly from: number; readonly to: number },
): void {
  for (const { values, size } of blocks) {
    values.copyWithin(to * size, from * size, (from + 1) * size);
  }
}

/** f32 little-endian, block after block. */
export function readSlot(blocks: readonly StateBlock[], slot: number): Uint8Array {
  const bytes = new Uint8Array(snapshotBytes(blocks));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const { values, size } of blocks) {
    for (let index = slot * size; index < (slot + 1) * size; index++, at += 4) {
      view.setFloat32(at, values[index]!, true);
    }
  }
  return bytes;
}

/** A copy of a snapshot of the right length. @throws BackendError `STATE_INVALID`; TypeError for another type */
export function copySnapshot(blocks: readonly StateBlock[], bytes: Uint8Array): Uint8Array {
  if (!(bytes instanceof Uint8Array)) throw new TypeError('A snapshot must be a Uint8Array.');
  const expected = snapshotBytes(blocks);
  if (bytes.length !== expected) {
    throw stateInvalid('length of the snapshot', `${expected} bytes`, bytes.length);
  }
  // A copy for certain: `slice` of a Node Buffer is only a view.
  return new Uint8Array(bytes);
}

export function writeSlot(blocks: readonly StateBlock[], slot: number, snapshot: Uint8Array): void {
  const view = new DataView(snapshot.buffer);
  let at = 0;
  for (const { values, size } of blocks) {
    for (let index = slot * size; index < (slot + 1) * size; index++, at += 4) {
      values[index] = view.getFloat32(at, true);
    }
  }
}

/** @throws BackendError `STATE_INVALID` */
export function requireSlot(slot: number, slots: number): void {
  if (Number.isInteger(slot) && slot >= 0 && slot < slots) return;
  throw stateInvalid('slot', `an integer below ${slots}`, slot);
}

function snapshotBytes(blocks: readonly StateBlock[]): number {
  return blocks.reduce((sum, { size }) => sum + 4 * size, 0);
}
