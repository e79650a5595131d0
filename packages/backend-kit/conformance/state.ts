/** Group `state`: what a slot holds, and that nobody else touches it. */
import type { Backend, Program, Rows, StateSpec } from '@rwkv-ts/backend';
import { Random } from '../src/random.js';
import {
  assertClose,
  assertSame,
  check,
  differ,
  equal,
  throws,
  throwsOrRejects,
} from './assert.js';
import { batchOf } from './batches.js';
import {
  bytesOf,
  defaultSlots,
  numbersOf,
  openLowered,
  openOracle,
  type Session,
  unclaimedKinds,
} from './session.js';
import { logitsBound } from './tolerance.js';
import { type TinyModel, tinyModel } from './tiny-models.js';
import type { CaseContext, CaseDefinition } from './types.js';

/** Every kind of initial value, shapes of one to three dimensions, sizes that no alignment divides. */
const specs: readonly StateSpec[] = [
  { name: 'zeros', shape: [7], initial: 0 },
  { name: 'one number', shape: [3, 5], initial: -0.625 },
  { name: 'per row', shape: [3, 5], initial: [0, 0, -1e30] },
  { name: 'matrices', shape: [2, 3, 3], initial: [1.5, -2] },
  { name: 'single', shape: [1], initial: [42] },
];
const sizeOf = (shape: readonly number[]) => shape.reduce((total, size) => total * size, 1);
const initialNumbers = specs.flatMap(({ shape, initial }) => {
  const row = sizeOf(shape.slice(1));
  return Array.from({ length: sizeOf(shape) }, (_, n) =>
    typeof initial === 'number' ? initial : initial[Math.floor(n / row)]!,
  );
});
const initialBytes = bytesOf(initialNumbers);

/** Different in every slot; among them the smallest normal, the largest finite and a negative zero. */
function snapshot(slot: number): Uint8Array {
  const numbers = new Random(slot, 'snapshot').fill(
    initialNumbers.length,
    (random) => 1e3 * random.normal(),
  );
  numbers.set([-0, 2 ** -126, 3.4028234663852886e38, -1e30]);
  return bytesOf(numbers);
}

async function initialValues({ backend }: CaseContext): Promise<void> {
  await using states = await backend.createStates(specs, defaultSlots);
  equal(states.slots, defaultSlots, 'slots');
  for (let slot = 0; slot < states.slots; slot++) {
    assertSame(await states.read(slot), initialBytes, `slot ${slot} of new states`);
  }
}

async function roundTrip({ backend }: CaseContext): Promise<void> {
  await using states = await backend.createStates(specs, defaultSlots);
  for (let slot = 0; slot < states.slots; slot++) {
    const bytes = snapshot(slot);
    states.write(slot, bytes);
    // `bytes` is copied before the call returns.
    bytes.fill(0xff);
  }
  for (let slot = 0; slot < states.slots; slot++) {
    assertSame(await states.read(slot), snapshot(slot), `slot ${slot} after write`);
  }
  const unaligned = new Uint8Array(snapshot(9).length + 1);
  unaligned.set(snapshot(9), 1);
  states.write(0, unaligned.subarray(1));
  assertSame(await states.read(0), snapshot(9), 'a snapshot at an odd address');
  const lent = SharingBytes.from(snapshot(7));
  states.write(0, lent);
  lent.fill(0xff);
  assertSame(await states.read(0), snapshot(7), 'a snapshot whose slice() shares memory');
}

/** As Node's Buffer, which readFile gives: its `slice` is no copy. */
class SharingBytes extends Uint8Array<ArrayBuffer> {
  override slice(start?: number, end?: number): Uint8Array<ArrayBuffer> {
    return this.subarray(start, end);
  }
}

async function snapshotsBelongToTheReader({ backend }: CaseContext): Promise<void> {
  await using states = await backend.createStates(specs, 1);
  const first = await states.read(0);
  first.fill(0xff);
  assertSame(await states.read(0), initialBytes, 'the state after its snapshot was overwritten');
}

async function resetOne({ backend }: CaseContext): Promise<void> {
  await using states = await backend.createStates(specs, defaultSlots);
  for (let slot = 0; slot < states.slots; slot++) states.write(slot, snapshot(slot));
  states.reset(2);
  assertSame(await states.read(2), initialBytes, 'the reset slot');
  for (const slot of [0, 1, 3]) {
    assertSame(await states.read(slot), snapshot(slot), `slot ${slot}, which was not reset`);
  }
}

async function copies({ backend }: CaseContext): Promise<void> {
  await using states = await backend.createStates(specs, defaultSlots);
  for (let slot = 0; slot < states.slots; slot++) states.write(slot, snapshot(slot));
  states.copy(1, 3);
  states.copy(2, 2);
  states.write(1, snapshot(8));
  const expected = [0, 8, 2, 1];
  for (const [slot, source] of expected.entries()) {
    assertSame(await states.read(slot), snapshot(source), `slot ${slot} after copies`);
  }
}

async function twoHandles({ backend }: CaseContext): Promise<void> {
  await using first = await backend.createStates(specs, 2);
  await using second = await backend.createStates(specs, 2);
  first.write(1, snapshot(5));
  assertSame(await second.read(1), initialBytes, 'another handle’s slot of the same number');
}

async function invalid({ backend }: CaseContext): Promise<void> {
  await using states = await backend.createStates(specs, 2);
  const bytes = snapshot(1);
  states.write(0, bytes);
  for (const slot of [-1, 2, 0.5, NaN, 2 ** 32]) {
    throws(
      () => {
        states.reset(slot);
      },
      'STATE_INVALID',
      `reset(${slot}) of 2 slots`,
    );
    throws(
      () => {
        states.copy(slot, 0);
      },
      'STATE_INVALID',
      `copy(${slot}, 0) of 2 slots`,
    );
    throws(
      () => {
        states.copy(0, slot);
      },
      'STATE_INVALID',
      `copy(0, ${slot}) of 2 slots`,
    );
    throws(
      () => {
        states.write(slot, bytes);
      },
      'STATE_INVALID',
      `write(${slot}) of 2 slots`,
    );
    await throwsOrRejects(() => states.read(slot), 'STATE_INVALID', `read(${slot}) of 2 slots`);
  }
  for (const length of [0, bytes.length - 4, bytes.length + 4]) {
    throws(
      () => {
        states.write(0, new Uint8Array(length));
      },
      'STATE_INVALID',
      `write of ${length} bytes where ${bytes.length} are right`,
    );
  }
  assertSame(await states.read(0), snapshot(1), 'slot 0 after refused calls');
  assertSame(await states.read(1), initialBytes, 'slot 1 after refused calls');
}

const versions = ['4', '5.2', '6', '7'] as const;
const tokens = (count: number, start = 0) =>
  Array.from({ length: count }, (_, t) => (start + 11 * t) % 61);

function requireModel(
  { backend, skip }: CaseContext,
  version: (typeof versions)[number],
): TinyModel {
  const model = tinyModel(version);
  const missing = unclaimedKinds(backend, model.program);
  if (missing.length > 0) skip(`RWKV-${version} needs ${missing.join(', ')}`);
  return model;
}

const openModel = (backend: Backend, model: { program: Program } & Pick<TinyModel, 'weights'>) =>
  openLowered(backend, model);

async function readAll({ states }: Session): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  for (let slot = 0; slot < states.slots; slot++) all.push(await states.read(slot));
  return all;
}

async function isolation(context: CaseContext, version: (typeof versions)[number]): Promise<void> {
  await using session = await openModel(context.backend, requireModel(context, version));
  await session.run(batchOf([0, 1, 2, 3].map((slot) => ({ slot, tokens: tokens(3, slot) }))));
  const before = await readAll(session);
  await session.run(
    batchOf([
      { slot: 2, tokens: tokens(5) },
      { slot: 0, tokens: tokens(1) },
    ]),
  );
  const after = await readAll(session);
  for (const slot of [1, 3]) assertSame(after[slot]!, before[slot]!, `untouched slot ${slot}`);
  for (const slot of [0, 2]) {
    check(differ(after[slot]!, before[slot]!), `slot ${slot} must move when its sequence advances`);
  }
}

/**
 * A state is an f32 block, so what a snapshot restores is the state itself, to the bit. An f64 backend may keep its
 * states wider, and then a snapshot rounds them.
 */
function assertRestored(
  { backend }: CaseContext,
  { got, want, where }: { got: Rows; want: Rows; where: string },
): void {
  if (backend.supports.activations !== 'f64') assertSame(got, want, where);
  else assertClose({ got, want, width: want.length, bound: logitsBound(backend.supports), where });
}

async function fork(context: CaseContext, version: (typeof versions)[number]): Promise<void> {
  await using session = await openModel(context.backend, requireModel(context, version));
  const { states } = session;
  await session.run(batchOf([{ slot: 0, tokens: tokens(9) }]));
  const saved = await states.read(0);
  states.copy(0, 3);
  states.write(2, saved);
  const next = (slot: number) => session.run(batchOf([{ slot, tokens: tokens(4, 5) }]));
  const [own, copied, written] = [await next(0), await next(3), await next(2)];
  assertSame(copied, own, 'rows after copy');
  assertRestored(context, { got: written, want: own, where: 'rows after read and write' });
  states.reset(0);
  await session.run(batchOf([{ slot: 0, tokens: tokens(9) }]));
  assertSame(await states.read(0), saved, 'the state of the same tokens after reset');
}

/** Every call is made before any is awaited; each must see the one before. */
async function queued(context: CaseContext): Promise<void> {
  await using session = await openModel(context.backend, requireModel(context, '7'));
  const { states } = session;
  const run = (slot: number, count: number) =>
    session.run(batchOf([{ slot, tokens: tokens(count) }]));
  await run(1, 5);
  const five = await states.read(1);
  states.reset(1);
  const first = run(0, 5);
  states.copy(0, 1);
  const second = run(0, 3);
  const readOne = states.read(1);
  states.reset(0);
  const readZero = states.read(0);
  states.write(0, five);
  const third = run(0, 3);
  const [, rows, one, zero, again] = await Promise.all([first, second, readOne, readZero, third]);
  assertSame(one, five, 'a copy queued behind a run');
  states.reset(3);
  assertSame(zero, await states.read(3), 'a reset queued behind runs');
  const where = 'a run queued behind a write of the same state';
  assertRestored(context, { got: again, want: rows, where });
}

async function moves(context: CaseContext, version: (typeof versions)[number]): Promise<void> {
  const model = requireModel(context, version);
  await using device = await openModel(context.backend, model);
  await using oracle = await openOracle(model);
  const width = model.config.vocabularySize;
  const bound = logitsBound(context.backend.supports);
  const start = batchOf([{ slot: 1, tokens: tokens(9) }]);
  const next = batchOf([{ slot: 0, tokens: tokens(6, 17) }]);
  await device.run(start);
  await oracle.run(start);
  const [fromDevice, fromOracle] = [await device.states.read(1), await oracle.states.read(1)];
  equal(fromDevice.length, fromOracle.length, 'bytes of a snapshot');
  // Each continues where the other one stopped, and must agree with the other continuing by itself.
  device.states.write(0, fromOracle);
  oracle.states.write(0, fromOracle);
  const compare = async (where: string) => {
    const [got, want] = [await device.run(next), await oracle.run(next)];
    assertClose({ got, want, width, bound, where });
  };
  await compare('the reference’s snapshot, continued');
  device.states.write(0, fromDevice);
  oracle.states.write(0, fromDevice);
  await compare('the backend’s snapshot, continued by the reference');
  check(numbersOf(fromDevice).every(Number.isFinite), 'a snapshot holds finite numbers');
}

export const stateCases: readonly CaseDefinition[] = [
  { name: 'initial values of every slot', run: initialValues },
  { name: 'write and read round trip, bit for bit', run: roundTrip },
  { name: 'a snapshot belongs to its reader', run: snapshotsBelongToTheReader },
  { name: 'reset of one slot', run: resetOne },
  { name: 'copy between slots', run: copies },
  { name: 'two handles share nothing', run: twoHandles },
  { name: 'STATE_INVALID at once, without effect', run: invalid },
  { name: 'reset, copy, write and read queue behind runs', run: queued },
  ...versions.flatMap((version) => [
    {
      name: `RWKV-${version}: slots without a sequence stay the same to the bit`,
      run: (context: CaseContext) => isolation(context, version),
    },
    {
      name: `RWKV-${version}: a fork, a restored and a replayed state continue alike`,
      run: (context: CaseContext) => fork(context, version),
    },
    {
      name: `RWKV-${version}: snapshots move to and from the reference`,
      run: (context: CaseContext) => moves(context, version),
    },
  ]),
];
