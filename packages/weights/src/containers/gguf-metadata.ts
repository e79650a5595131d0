import type { MetadataValue } from '../raw-file.js';
import type { BufferedReader } from '../sources/buffered-reader.js';
import { invalid, shown } from './failures.js';
import { limits } from './limits.js';
import { decodeText } from './text.js';

/** Where GGUF fields come from, and how many metadata values may still come. */
export interface GgufReader {
  readonly reader: BufferedReader;
  readonly file: string;
  valuesLeft: number;
}

type ReadScalar = (view: DataView, at: number) => number | bigint;

/** Size and reading of the fixed-size value types, by type number. */
const scalars: ReadonlyMap<number, { readonly bytes: number; readonly read: ReadScalar }> = new Map(
  [
    [0, { bytes: 1, read: (view: DataView, at: number) => view.getUint8(at) }],
    [1, { bytes: 1, read: (view: DataView, at: number) => view.getInt8(at) }],
    [2, { bytes: 2, read: (view: DataView, at: number) => view.getUint16(at, true) }],
    [3, { bytes: 2, read: (view: DataView, at: number) => view.getInt16(at, true) }],
    [4, { bytes: 4, read: (view: DataView, at: number) => view.getUint32(at, true) }],
    [5, { bytes: 4, read: (view: DataView, at: number) => view.getInt32(at, true) }],
    [6, { bytes: 4, read: (view: DataView, at: number) => view.getFloat32(at, true) }],
    [7, { bytes: 1, read: (view: DataView, at: number) => view.getUint8(at) }],
    [10, { bytes: 8, read: (view: DataView, at: number) => narrowed(view.getBigUint64(at, true)) }],
    [11, { bytes: 8, read: (view: DataView, at: number) => narrowed(view.getBigInt64(at, true)) }],
    [12, { bytes: 8, read: (view: DataView, at: number) => view.getFloat64(at, true) }],
  ],
);
const typeBool = 7;
const typeString = 8;
const typeArray = 9;
/** A string's length, or an array's type and length: what one element takes at least. */
const leastBytes = new Map([
  [typeString, 8],
  [typeArray, 12],
]);

/** A number where that is exact. */
function narrowed(value: bigint): number | bigint {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER)
    ? Number(value)
    : value;
}

/** A u64 that counts something in this file. @throws WeightsError `CONTAINER_INVALID` above `most` */
export async function readCount(
  { reader, file }: GgufReader,
  what: string,
  most: number,
): Promise<number> {
  const count = await reader.u64();
  if (count > BigInt(most)) {
    throw invalid(file, `${what} is ${count.toString()}; at most ${most} is possible here`, {
      expected: most,
      got: count,
    });
  }
  return Number(count);
}

/** Tensor names and keys. @throws WeightsError `CONTAINER_INVALID` */
export async function readName(gguf: GgufReader, what: string): Promise<string> {
  const length = await readCount(gguf, `the length of ${what}`, limits.nameBytes);
  return decodeText(await gguf.reader.bytes(length), gguf.file, what);
}

/** A metadata value of type number `type`. `depth` counts the arrays around it. */
export async function readValue(
  gguf: GgufReader,
  type: number,
  key: string,
  depth = 0,
): Promise<MetadataValue> {
  if (type === typeString) return readText(gguf, key);
  if (type === typeArray) return readArray(gguf, key, depth);
  const scalar = scalars.get(type);
  if (scalar === undefined) {
    throw invalid(gguf.file, `metadata ${shown(key)} has type ${type}; types are 0 to 12`, {
      got: type,
    });
  }
  const value = scalar.read(viewOf(await gguf.reader.bytes(scalar.bytes)), 0);
  return type === typeBool ? truth(gguf, value, key) : value;
}

async function readText(gguf: GgufReader, key: string): Promise<string> {
  const what = `metadata ${shown(key)}`;
  const length = await readCount(gguf, `the length of ${what}`, limits.ggufStringBytes);
  return decodeText(await gguf.reader.bytes(length), gguf.file, what);
}

async function readArray(gguf: GgufReader, key: string, depth: number): Promise<MetadataValue[]> {
  const { reader, file } = gguf;
  if (depth >= limits.metadataDepth) {
    throw invalid(file, `metadata ${shown(key)} nests arrays deeper than ${limits.metadataDepth}`);
  }
  const type = await reader.u32();
  const scalar = scalars.get(type);
  const bytesEach = scalar?.bytes ?? leastBytes.get(type);
  if (bytesEach === undefined) {
    throw invalid(file, `metadata ${shown(key)} is an array of type ${type}; types are 0 to 12`, {
      got: type,
    });
  }
  const count = await readCount(
    gguf,
    `the length of metadata ${shown(key)}`,
    Math.floor((reader.remaining - 8) / bytesEach),
  );
  gguf.valuesLeft -= count;
  if (gguf.valuesLeft < 0) {
    throw invalid(file, `its metadata arrays have more than ${limits.ggufValues} values`, {
      expected: limits.ggufValues,
    });
  }
  if (scalar !== undefined) {
    const view = viewOf(await reader.bytes(count * bytesEach));
    return Array.from({ length: count }, (_, i) => {
      const value = scalar.read(view, i * bytesEach);
      return type === typeBool ? truth(gguf, value, key) : value;
    });
  }
  const values: MetadataValue[] = [];
  for (let i = 0; i < count; i++) values.push(await readValue(gguf, type, key, depth + 1));
  return values;
}

function truth({ file }: GgufReader, value: number | bigint, key: string): boolean {
  if (value === 0 || value === 1) return value === 1;
  throw invalid(file, `metadata ${shown(key)} holds a boolean of ${String(value)}; it is 0 or 1`, {
    got: value,
  });
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
