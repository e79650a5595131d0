/**
 * A machine for the part of the pickle protocols 2 to 5 that state dicts use. It builds plain data: no opcode runs
 * anything, and names come from a short list (`pickle-globals.ts`). Work and memory grow with the pickle's length: every
 * step makes at most one value, and shared values are shared, not copied.
 */
import { invalid, pickleRefused, shown } from './failures.js';
import { limits } from './limits.js';
import { callGlobal, findGlobal, storageOf } from './pickle-globals.js';
import {
  line,
  long,
  pop,
  popCount,
  popMark,
  recall,
  remember,
  requireContainer,
  take,
  text,
  u32,
  u8,
} from './pickle-machine.js';
import type { Machine } from './pickle-machine.js';
import { isKey, kindOf } from './pickle-values.js';
import type { PickleValue } from './pickle-values.js';

/**
 * The value that `bytes` describe. Values may be shared and may contain themselves: bound every walk.
 * @param file for errors
 * @throws WeightsError `PICKLE_REFUSED` for opcodes and names outside the list, `CONTAINER_INVALID` for broken pickles
 */
export function readPickle(bytes: Uint8Array, file: string): PickleValue {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const machine: Machine = { file, bytes, view, at: 0, stack: [], marks: [], memo: new Map() };
  requireProtocol(machine);
  for (let step = 0; step < limits.pickleSteps; step++) {
    const at = machine.at;
    const opcode = u8(machine);
    if (opcode === opcodeStop) return finish(machine);
    const work = opcodes.get(opcode);
    if (work === undefined) {
      throw pickleRefused(
        file,
        `its pickle uses opcode 0x${opcode.toString(16).padStart(2, '0')} at byte ${at}, which a state dict does not need`,
        {
          got: opcode,
        },
      );
    }
    work(machine);
  }
  throw pickleRefused(file, `its pickle takes more than ${limits.pickleSteps} steps`, {
    expected: limits.pickleSteps,
  });
}

const opcodeProtocol = 0x80;
const opcodeStop = 0x2e;
const oldestProtocol = 2;
const newestProtocol = 5;

const opcodes: ReadonlyMap<number, (machine: Machine) => void> = new Map<
  number,
  (machine: Machine) => void
>([
  [0x28, (m) => m.marks.push(m.stack.length)], // MARK
  [0x29, (m) => m.stack.push({ kind: 'tuple', items: [] })], // EMPTY_TUPLE
  [0x47, (m) => m.stack.push(m.view.getFloat64(take(m, 8)))], // BINFLOAT, big-endian
  [0x4a, (m) => m.stack.push(m.view.getInt32(take(m, 4), true))], // BININT
  [0x4b, (m) => m.stack.push(u8(m))], // BININT1
  [0x4d, (m) => m.stack.push(m.view.getUint16(take(m, 2), true))], // BININT2
  [0x4e, (m) => m.stack.push(null)], // NONE
  [0x51, (m) => m.stack.push(storageOf(pop(m), m.file))], // BINPERSID
  [0x52, reduce], // REDUCE
  [0x58, (m) => m.stack.push(text(m, u32(m)))], // BINUNICODE
  [0x5d, (m) => m.stack.push({ kind: 'list', items: [] })], // EMPTY_LIST
  [
    0x61,
    (m) => {
      append(m, [pop(m)]);
    },
  ], // APPEND
  [0x62, build], // BUILD
  [0x63, (m) => m.stack.push(findGlobal(line(m), line(m), m.file))], // GLOBAL
  [
    0x65,
    (m) => {
      append(m, popMark(m));
    },
  ], // APPENDS
  [0x68, (m) => m.stack.push(recall(m, u8(m)))], // BINGET
  [0x6a, (m) => m.stack.push(recall(m, u32(m)))], // LONG_BINGET
  [
    0x71,
    (m) => {
      remember(m, u8(m));
    },
  ], // BINPUT
  [
    0x72,
    (m) => {
      remember(m, u32(m));
    },
  ], // LONG_BINPUT
  [
    0x73,
    (m) => {
      setItems(m, popCount(m, 2));
    },
  ], // SETITEM
  [0x74, (m) => m.stack.push({ kind: 'tuple', items: popMark(m) })], // TUPLE
  [
    0x75,
    (m) => {
      setItems(m, popMark(m));
    },
  ], // SETITEMS
  [0x7d, (m) => m.stack.push({ kind: 'dict', entries: new Map() })], // EMPTY_DICT
  [0x85, (m) => m.stack.push({ kind: 'tuple', items: popCount(m, 1) })], // TUPLE1
  [0x86, (m) => m.stack.push({ kind: 'tuple', items: popCount(m, 2) })], // TUPLE2
  [0x87, (m) => m.stack.push({ kind: 'tuple', items: popCount(m, 3) })], // TUPLE3
  [0x88, (m) => m.stack.push(true)], // NEWTRUE
  [0x89, (m) => m.stack.push(false)], // NEWFALSE
  [0x8a, (m) => m.stack.push(long(m, u8(m)))], // LONG1
  [0x8c, (m) => m.stack.push(text(m, u8(m)))], // SHORT_BINUNICODE
  [0x93, stackGlobal], // STACK_GLOBAL
  [
    0x94,
    (m) => {
      remember(m, m.memo.size);
    },
  ], // MEMOIZE
  [0x95, frame], // FRAME
]);

function requireProtocol(machine: Machine): void {
  const { file } = machine;
  if (u8(machine) !== opcodeProtocol)
    throw invalid(file, 'its pickle does not begin with a protocol number');
  const protocol = u8(machine);
  if (protocol < oldestProtocol || protocol > newestProtocol) {
    throw pickleRefused(
      file,
      `its pickle has protocol ${protocol}; ${oldestProtocol} to ${newestProtocol} are read`,
      {
        expected: [oldestProtocol, newestProtocol],
        got: protocol,
      },
    );
  }
}

function finish(machine: Machine): PickleValue {
  const { file, stack, marks, bytes, at } = machine;
  const [value] = stack;
  if (value === undefined || stack.length !== 1 || marks.length > 0 || at !== bytes.length) {
    throw invalid(
      file,
      `its pickle ends with ${stack.length} values, ${marks.length} open marks and ${bytes.length - at} bytes left over`,
      {
        expected: '1, 0 and 0',
        got: `${stack.length}, ${marks.length} and ${bytes.length - at}`,
      },
    );
  }
  return value;
}

function reduce(machine: Machine): void {
  const [callee, args] = popCount(machine, 2);
  machine.stack.push(callGlobal(callee!, args!, machine.file));
}

/** Attributes of an OrderedDict (`_metadata` of a state dict): nothing that a weight depends on. */
function build(machine: Machine): void {
  const state = pop(machine);
  requireContainer(machine, 'dict', 'sets attributes of');
  if (typeof state !== 'object' || state === null || state.kind !== 'dict') {
    throw pickleRefused(machine.file, `its pickle sets attributes from ${kindOf(state)}`);
  }
}

function stackGlobal(machine: Machine): void {
  const [module, name] = popCount(machine, 2);
  if (typeof module !== 'string' || typeof name !== 'string')
    throw invalid(machine.file, 'its pickle names a global by something else than strings');
  machine.stack.push(findGlobal(module, name, machine.file));
}

/** A hint for readers of streams; only its sanity matters here. */
function frame(machine: Machine): void {
  const length = machine.view.getBigUint64(take(machine, 8), true);
  if (length > BigInt(machine.bytes.length - machine.at))
    throw invalid(machine.file, 'its pickle has a frame longer than itself');
}

function append(machine: Machine, items: readonly PickleValue[]): void {
  const list = requireContainer(machine, 'list', 'appends to');
  for (const item of items) list.items.push(item);
}

function setItems(machine: Machine, items: readonly PickleValue[]): void {
  const { entries } = requireContainer(machine, 'dict', 'sets items of');
  if (items.length % 2 !== 0) throw invalid(machine.file, 'its pickle has a key without a value');
  for (let i = 0; i < items.length; i += 2) {
    const key = items[i]!;
    if (!isKey(key))
      throw pickleRefused(machine.file, `its pickle has a dict key that is ${kindOf(key)}`);
    if (entries.has(key))
      throw invalid(machine.file, `its pickle sets the key ${shown(String(key))} twice`);
    entries.set(key, items[i + 1]!);
  }
}
