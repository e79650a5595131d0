/**
 * The head of a file of packed weights, and where its tensors lie. The file is data only, and of this machine's kind:
 *
 *     0  8 bytes       "rwkvpack"
 *     8  u32           0x01020304 in the byte order of the tensors
 *    12  u32           version of this format
 *    16  u32           version of the packed layouts (native/kernels/pack.h)
 *    20  u32           0
 *    24  u64           N, bytes of the header
 *    32  32 bytes      SHA-256 of the header
 *    64  N bytes       the header, JSON: { metadata: { name: text }, tensors: [{ name, shape, format, layout }] }
 *
 * then zeros up to a multiple of 65,536, and from there the tensors as they lie in memory, each a multiple of 64 bytes, in
 * the order of the header, up to the end of the file. Numbers are little-endian but for the mark at 8 and the tensors.
 */
import { createHash } from 'node:crypto';
import { endianness } from 'node:os';
import { BackendError, type WeightFormat } from '@rwkv-ts/backend';
import { layouts, type NativeAddon, weightFormats } from './native.js';
import { repeatedWeight } from '@rwkv-ts/formats';
import { layoutOf, type WeightLayout } from './weights.js';

/** Text by name, for whoever writes the file. */
export type PackedMetadata = Readonly<Record<string, string>>;

export interface PackedTensor extends WeightLayout {
  readonly name: string;
  readonly shape: readonly number[];
  readonly format: WeightFormat;
  /** Its place in `layouts`; 0 for vectors. */
  readonly layout: number;
  /** Place in the file and in memory. */
  readonly offset: number;
  readonly bytes: number;
}

export interface PackedHead {
  readonly metadata: PackedMetadata;
  readonly tensors: readonly PackedTensor[];
  /** Where the tensors begin and end; the end is the file's. */
  readonly start: number;
  readonly end: number;
}

export type PackedWeightSpec = Pick<PackedTensor, 'name' | 'shape' | 'format' | 'layout'>;

const magic = new TextEncoder().encode('rwkvpack');
const byteOrderMark = 0x01020304;
const formatVersion = 1;
const prefaceBytes = 64;
/** A header of a thousand weights takes a hundred thousand. */
const largestHeader = 2 ** 24;
/** No system's pages are larger. */
const pageBytes = 2 ** 16;
const isLittle = endianness() === 'LE';

/** @throws BackendError `WEIGHT_INVALID` for more metadata than a header holds; TypeError for other than text */
export function encodeHead(
  specs: readonly PackedWeightSpec[],
  { metadata, addon }: { readonly metadata: PackedMetadata; readonly addon: NativeAddon },
): { readonly head: PackedHead; readonly bytes: Uint8Array } {
  for (const [name, text] of Object.entries(metadata)) {
    if (typeof text !== 'string') throw new TypeError(`metadata.${name} must be a string.`);
  }
  const tensors = specs.map(({ name, shape, format, layout }) => ({ name, shape, format, layout }));
  const json = new TextEncoder().encode(JSON.stringify({ metadata, tensors }));
  if (json.length > largestHeader) {
    throw invalid('header', `at most ${largestHeader} bytes`, json.length);
  }
  const start = startOf(json.length);
  const bytes = new Uint8Array(start);
  const view = new DataView(bytes.buffer);
  bytes.set(magic);
  view.setUint32(8, byteOrderMark, isLittle);
  view.setUint32(12, formatVersion, true);
  view.setUint32(16, addon.packedVersion, true);
  view.setBigUint64(24, BigInt(json.length), true);
  bytes.set(createHash('sha256').update(json).digest(), 32);
  bytes.set(json, prefaceBytes);
  const placed = place(specs, { start, addon });
  return { head: { metadata, tensors: placed, start, end: endOf(placed, start) }, bytes };
}

/** A file that can be read from; `read` is only asked for what lies inside. */
export interface PackedSource {
  readonly bytes: number;
  read(offset: number, length: number): Uint8Array;
}

/** @throws BackendError `WEIGHT_INVALID` for anything but a whole file of this machine's kind */
export function decodeHead(source: PackedSource, addon: NativeAddon): PackedHead {
  const require = (what: string, expected: number | string, got: number | string) => {
    if (got !== expected) throw invalid(what, String(expected), got);
  };
  if (source.bytes < prefaceBytes) {
    throw invalid('length', `at least ${prefaceBytes} bytes`, source.bytes);
  }
  const preface = source.read(0, prefaceBytes);
  const view = new DataView(preface.buffer, preface.byteOffset, preface.byteLength);
  require('beginning', hex(magic), hex(preface.subarray(0, 8)));
  const mark = view.getUint32(8, isLittle);
  require('byte order', byteOrderMark.toString(16), mark.toString(16));
  require('version of the file', formatVersion, view.getUint32(12, true));
  require('version of the packed layouts', addon.packedVersion, view.getUint32(16, true));
  require('reserved field', 0, view.getUint32(20, true));
  const length = Number(view.getBigUint64(24, true));
  if (length > largestHeader) throw invalid('header', `at most ${largestHeader} bytes`, length);
  const start = startOf(length);
  if (start > source.bytes) throw invalid('length', `at least ${start} bytes`, source.bytes);
  const json = source.read(prefaceBytes, length);
  const digest = createHash('sha256').update(json).digest();
  require('SHA-256 of the header', hex(preface.subarray(32)), hex(digest));
  const { metadata, specs } = parseHeader(json);
  const tensors = place(specs, { start, addon });
  const end = endOf(tensors, start);
  if (end !== source.bytes) throw invalid('length', `${end} bytes`, source.bytes);
  return { metadata, tensors, start, end };
}

/** The table of `mapWeights`. */
export function tensorTable({ tensors }: PackedHead): Float64Array {
  return Float64Array.from(
    tensors.flatMap(({ code, rows, columns, isVector, layout, offset }) => [
      code,
      rows,
      columns,
      isVector ? 1 : 0,
      layout,
      offset,
    ]),
  );
}

function place(
  specs: readonly PackedWeightSpec[],
  { start, addon }: { start: number; addon: NativeAddon },
): PackedTensor[] {
  let offset = start;
  return specs.map((spec) => {
    const shape = layoutOf(spec);
    const { code, rows, columns, isVector } = shape;
    const bytes = addon.packedBytes(code, rows, columns, isVector, spec.layout);
    const tensor = { ...spec, ...shape, offset, bytes };
    offset += bytes;
    return tensor;
  });
}

function endOf(tensors: readonly PackedTensor[], start: number): number {
  return tensors.reduce((end, { bytes }) => end + bytes, start);
}

function startOf(headerBytes: number): number {
  return Math.ceil((prefaceBytes + headerBytes) / pageBytes) * pageBytes;
}

function parseHeader(json: Uint8Array): { metadata: PackedMetadata; specs: PackedWeightSpec[] } {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json));
  } catch (cause) {
    throw invalid('header', 'JSON', 'something else', cause);
  }
  const { metadata, tensors } = fieldsOf(header, 'header', ['metadata', 'tensors']);
  if (!isObject(metadata)) throw invalid('metadata', 'an object', kindOf(metadata));
  for (const [name, text] of Object.entries(metadata)) {
    if (typeof text !== 'string') throw invalid(`metadata ${name}`, 'text', kindOf(text));
  }
  if (!Array.isArray(tensors)) throw invalid('list of tensors', 'an array', kindOf(tensors));
  const names = new Set<string>();
  const specs = tensors.map((tensor: unknown) => {
    const spec = parseTensor(tensor);
    if (names.has(spec.name)) throw repeatedWeight(spec.name);
    names.add(spec.name);
    return spec;
  });
  return { metadata: metadata as PackedMetadata, specs };
}

function parseTensor(value: unknown): PackedWeightSpec {
  const fields = fieldsOf(value, 'tensor', ['name', 'shape', 'format', 'layout']);
  const { name, shape, format, layout } = fields;
  if (typeof name !== 'string') throw invalid('name of a tensor', 'text', kindOf(name));
  if (!Array.isArray(shape) || !shape.every((size) => typeof size === 'number')) {
    throw invalid(`shape of ${name}`, 'an array of numbers', kindOf(shape));
  }
  const known = weightFormats.find((each) => each === format);
  if (known === undefined) {
    throw invalid(`format of ${name}`, `one of ${weightFormats.join(', ')}`, text(format));
  }
  const most = shape.length === 2 ? layouts.length - 1 : 0;
  if (typeof layout !== 'number' || !Number.isInteger(layout) || layout < 0 || layout > most) {
    throw invalid(`layout of ${name}`, most === 0 ? '0' : `0 to ${most}`, text(layout));
  }
  return { name, shape: shape, format: known, layout };
}

/** The fields of an object that has these and no others. */
function fieldsOf<Name extends string>(
  value: unknown,
  what: string,
  names: readonly Name[],
): Record<Name, unknown> {
  const got = isObject(value) ? Object.keys(value).sort().join(', ') : kindOf(value);
  const expected = [...names].sort().join(', ');
  if (!isObject(value) || got !== expected) throw invalid(what, expected, got);
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'an array' : typeof value;
}

/** Of a few characters, however long the value is. */
function text(value: unknown): string {
  return isObject(value) || Array.isArray(value) ? kindOf(value) : String(value).slice(0, 40);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

export function invalid(
  what: string,
  expected: string,
  got: number | string,
  cause?: unknown,
): BackendError {
  return new BackendError({
    code: 'WEIGHT_INVALID',
    message: `The ${what} of a file of packed weights must be ${expected}, got ${got}; write the file anew.`,
    expected,
    got,
    ...(cause === undefined ? {} : { cause }),
  });
}
