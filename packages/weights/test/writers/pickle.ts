/** Pickle opcodes as bytes, to be joined: enough for state dicts, and for tests to write what no Python would. */
import { ByteWriter } from './byte-writer.js';

export const mark = Uint8Array.of(0x28);
export const stop = Uint8Array.of(0x2e);
export const none = Uint8Array.of(0x4e);
export const emptyDict = Uint8Array.of(0x7d);
export const emptyList = Uint8Array.of(0x5d);
export const emptyTuple = Uint8Array.of(0x29);
export const setItem = Uint8Array.of(0x73);
export const setItems = Uint8Array.of(0x75);
export const append = Uint8Array.of(0x61);
export const appends = Uint8Array.of(0x65);
export const reduce = Uint8Array.of(0x52);
export const build = Uint8Array.of(0x62);
export const persistentId = Uint8Array.of(0x51);

export function join(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter();
  for (const part of parts) writer.bytes(part);
  return writer.finish();
}

/** A whole pickle. */
export function pickle(protocol: number, ...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return join(Uint8Array.of(0x80, protocol), ...parts, stop);
}

export function text(value: string): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(value);
  return new ByteWriter().u8(0x58).u32(bytes.length).bytes(bytes).finish();
}

export function integer(value: number): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter();
  if (value >= 0 && value < 256) return writer.u8(0x4b, value).finish();
  if (value >= 0 && value < 65536) return writer.u8(0x4d).u16(value).finish();
  if (value >= -(2 ** 31) && value < 2 ** 31) return writer.u8(0x4a).i32(value).finish();
  return writer
    .u8(0x8a, 8)
    .u64(BigInt.asUintN(64, BigInt(value)))
    .finish();
}

export function float(value: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(9);
  bytes[0] = 0x47;
  new DataView(bytes.buffer).setFloat64(1, value);
  return bytes;
}

export function truth(value: boolean): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(value ? 0x88 : 0x89);
}

export function tuple(...items: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  if (items.length === 0) return emptyTuple;
  if (items.length <= 3) return join(...items, Uint8Array.of(0x84 + items.length));
  return join(mark, ...items, Uint8Array.of(0x74));
}

export function list(...items: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return join(emptyList, mark, ...items, appends);
}

export function global(module: string, name: string): Uint8Array<ArrayBuffer> {
  return new ByteWriter().text(`c${module}\n${name}\n`).finish();
}

/** Protocol 4 and later: the names come from the stack. */
export function stackGlobal(module: string, name: string): Uint8Array<ArrayBuffer> {
  return join(text(module), text(name), Uint8Array.of(0x93));
}

export function remember(index: number): Uint8Array<ArrayBuffer> {
  return new ByteWriter().u8(0x72).u32(index).finish();
}

export function recall(index: number): Uint8Array<ArrayBuffer> {
  return new ByteWriter().u8(0x6a).u32(index).finish();
}

export function call(callee: Uint8Array, ...args: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return join(callee, tuple(...args), reduce);
}

export function items(
  pairs: readonly (readonly [Uint8Array, Uint8Array])[],
): Uint8Array<ArrayBuffer> {
  return join(mark, ...pairs.flat(), setItems);
}
