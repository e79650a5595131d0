/** The pickle machine's memory, and the checked steps that its opcodes are made of. */
import { invalid, pickleRefused } from './failures.js';
import { kindOf } from './pickle-values.js';
import type { PickleDict, PickleSequence, PickleValue } from './pickle-values.js';
import { decodeText } from './text.js';

export interface Machine {
  readonly file: string;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  at: number;
  readonly stack: PickleValue[];
  /** Stack heights. */
  readonly marks: number[];
  readonly memo: Map<number, PickleValue>;
}

/** Steps over `length` bytes and returns where they begin. */
export function take(machine: Machine, length: number): number {
  const { at, bytes, file } = machine;
  if (length > bytes.length - at) {
    throw invalid(file, `its pickle ends inside an opcode at byte ${at}`, {
      expected: at + length,
      got: bytes.length,
    });
  }
  machine.at += length;
  return at;
}

export function u8(machine: Machine): number {
  return machine.view.getUint8(take(machine, 1));
}

export function u32(machine: Machine): number {
  return machine.view.getUint32(take(machine, 4), true);
}

export function text(machine: Machine, length: number): string {
  const at = take(machine, length);
  return decodeText(
    machine.bytes.subarray(at, at + length),
    machine.file,
    'a string in its pickle',
  );
}

/** ASCII up to a line feed. */
export function line(machine: Machine): string {
  const end = machine.bytes.indexOf(0x0a, machine.at);
  if (end < 0) throw invalid(machine.file, 'its pickle ends inside a name');
  const name = text(machine, end - machine.at);
  machine.at++;
  return name;
}

/** Two's complement, little-endian; sizes beyond 31 bits come this way. */
export function long(machine: Machine, length: number): number | bigint {
  if (length > 8) {
    throw pickleRefused(
      machine.file,
      `its pickle has an integer of ${length} bytes; at most 8 are read`,
      { expected: 8, got: length },
    );
  }
  const at = take(machine, length);
  let value = 0n;
  for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(machine.bytes[at + i]!);
  value = BigInt.asIntN(8 * length, value);
  const narrow = Number(value);
  return Number.isSafeInteger(narrow) ? narrow : value;
}

export function pop(machine: Machine): PickleValue {
  return popCount(machine, 1)[0]!;
}

/** Never reaches below the innermost mark. */
export function popCount({ stack, marks, file }: Machine, count: number): PickleValue[] {
  const floor = marks.at(-1) ?? 0;
  if (stack.length - count < floor)
    throw invalid(file, 'its pickle takes more from the stack than there is');
  return stack.splice(stack.length - count, count);
}

export function popMark({ stack, marks, file }: Machine): PickleValue[] {
  const mark = marks.pop();
  if (mark === undefined) throw invalid(file, 'its pickle has no mark where one is needed');
  return stack.splice(mark);
}

export function top(machine: Machine): PickleValue | undefined {
  return machine.stack.length > (machine.marks.at(-1) ?? 0) ? machine.stack.at(-1) : undefined;
}

export function remember(machine: Machine, index: number): void {
  const value = top(machine);
  if (value === undefined)
    throw invalid(machine.file, 'its pickle remembers a value that is not there');
  machine.memo.set(index, value);
}

export function recall({ memo, file }: Machine, index: number): PickleValue {
  const value = memo.get(index);
  if (value === undefined)
    throw invalid(file, `its pickle recalls the value ${index}, which it never remembered`, {
      got: index,
    });
  return value;
}

interface Containers {
  list: PickleSequence;
  dict: PickleDict;
}

export function requireContainer<Kind extends keyof Containers>(
  machine: Machine,
  kind: Kind,
  action: string,
): Containers[Kind] {
  const value = top(machine);
  if (typeof value !== 'object' || value === null || value.kind !== kind) {
    throw invalid(machine.file, `its pickle ${action} ${kindOf(value)}`, {
      expected: kind,
      got: kindOf(value),
    });
  }
  return value as Containers[Kind];
}
