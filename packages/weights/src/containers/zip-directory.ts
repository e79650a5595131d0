/**
 * The central directory of a ZIP archive (PKWARE APPNOTE 6.3, sections 4.3.12 to 4.3.16 and 4.5.3): one disk, zip64,
 * entries stored or deflated. Everything an archive can lie about is refused: entries outside the file, over each other
 * or over the directory, and two of one name.
 */
import type { ByteSource, ReadOptions } from '../byte-source.js';
import { invalid, shown, unsupported } from './failures.js';
import { limits } from './limits.js';
import { decodeText } from './text.js';

export interface ZipEntry {
  readonly name: string;
  readonly method: 'stored' | 'deflated';
  readonly compressedSize: number;
  readonly size: number;
  /** Of the local header in the source. */
  readonly offset: number;
  /** Where the next entry, or the directory, begins. */
  readonly limit: number;
}

const endSignature = 0x06054b50;
const endBytes = 22;
const longestComment = 0xffff;
const zip64LocatorSignature = 0x07064b50;
const zip64LocatorBytes = 20;
const zip64EndSignature = 0x06064b50;
const zip64EndBytes = 56;
const entrySignature = 0x02014b50;
const entryBytes = 46;
/** What a local header takes before its name. */
export const localHeaderBytes = 30;
const saturated16 = 0xffff;
const saturated32 = 0xffffffff;
const zip64ExtraId = 1;

/**
 * Entries by name, in directory order.
 * @throws WeightsError `CONTAINER_INVALID`, `CONTAINER_UNSUPPORTED` (encryption, other compression, several disks)
 */
export async function readZipDirectory(
  source: ByteSource,
  options: ReadOptions = {},
): Promise<ReadonlyMap<string, ZipEntry>> {
  const { name: file } = source;
  const { offset, size, count } = await findDirectory(source, options);
  const view = viewOf(await source.read(offset, size, options));
  const found: Omit<ZipEntry, 'limit'>[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    const { entry, next } = readEntry(view, at, file);
    found.push(entry);
    at = next;
  }
  if (at !== size) {
    throw invalid(file, `its directory has ${size} bytes, and its entries take ${at}`, {
      expected: size,
      got: at,
    });
  }
  const entries = new Map<string, ZipEntry>();
  for (const entry of withLimits(found, offset, file)) {
    if (entries.has(entry.name))
      throw invalid(file, `it has two entries named ${shown(entry.name)}`);
    entries.set(entry.name, entry);
  }
  requireSaneRatio(found, source);
  return entries;
}

interface Directory {
  readonly offset: number;
  readonly size: number;
  readonly count: number;
}

async function findDirectory(source: ByteSource, options: ReadOptions): Promise<Directory> {
  const file = source.name;
  const tailBytes = Math.min(
    source.size,
    endBytes + longestComment + zip64LocatorBytes + zip64EndBytes,
  );
  const tailStart = source.size - tailBytes;
  const tail = viewOf(await source.read(tailStart, tailBytes, options));
  const end = findEnd(tail, file);
  const sameDisk = tail.getUint16(end + 4, true) === tail.getUint16(end + 6, true);
  if (!sameDisk || tail.getUint16(end + 8, true) !== tail.getUint16(end + 10, true)) {
    throw unsupported(file, 'it is one part of an archive of several parts');
  }
  const short: Directory = {
    count: tail.getUint16(end + 10, true),
    size: tail.getUint32(end + 12, true),
    offset: tail.getUint32(end + 16, true),
  };
  const locator = end - zip64LocatorBytes;
  const hasZip64 = locator >= 0 && tail.getUint32(locator, true) === zip64LocatorSignature;
  const needsZip64 =
    short.count === saturated16 || short.size === saturated32 || short.offset === saturated32;
  if (needsZip64 && !hasZip64)
    throw invalid(file, 'its end record points to a zip64 record that is not there');
  if (!hasZip64) return requirePlausible(short, tailStart + end, file);
  const zip64Offset = readSize(tail, locator + 8, file);
  if (zip64Offset + zip64EndBytes > tailStart + locator) {
    throw invalid(file, 'its zip64 record lies outside the file', { got: zip64Offset });
  }
  const zip64 = viewOf(await source.read(zip64Offset, zip64EndBytes, options));
  if (zip64.getUint32(0, true) !== zip64EndSignature)
    throw invalid(file, 'its zip64 record is broken');
  const long: Directory = {
    count: readSize(zip64, 32, file),
    size: readSize(zip64, 40, file),
    offset: readSize(zip64, 48, file),
  };
  return requirePlausible(long, zip64Offset, file);
}

/** The end record closes the file; a comment may hold the signature too, so its length has to fit as well. */
function findEnd(tail: DataView, file: string): number {
  for (let at = tail.byteLength - endBytes; at >= 0; at--) {
    if (
      tail.getUint32(at, true) === endSignature &&
      at + endBytes + tail.getUint16(at + 20, true) === tail.byteLength
    ) {
      return at;
    }
  }
  throw invalid(
    file,
    'it starts like a ZIP archive and has no end record; the download may be incomplete',
  );
}

function requirePlausible(directory: Directory, end: number, file: string): Directory {
  const { offset, size, count } = directory;
  if (offset + size > end) {
    throw invalid(file, `its directory ends at ${offset + size}, after the end record at ${end}`, {
      expected: end,
      got: offset + size,
    });
  }
  if (size > limits.zipDirectoryBytes || count > limits.tensors || count * entryBytes > size) {
    throw invalid(file, `its directory claims ${count} entries in ${size} bytes`, {
      expected: `at most ${limits.tensors} entries in ${limits.zipDirectoryBytes} bytes`,
      got: `${count} in ${size}`,
    });
  }
  return directory;
}

function readEntry(
  view: DataView,
  at: number,
  file: string,
): { entry: Omit<ZipEntry, 'limit'>; next: number } {
  if (at + entryBytes > view.byteLength || view.getUint32(at, true) !== entrySignature) {
    throw invalid(file, `its directory is broken at byte ${at}`);
  }
  const flags = view.getUint16(at + 8, true);
  const nameEnd = at + entryBytes + view.getUint16(at + 28, true);
  const extraEnd = nameEnd + view.getUint16(at + 30, true);
  const next = extraEnd + view.getUint16(at + 32, true);
  if (next > view.byteLength) throw invalid(file, `its directory is broken at byte ${at}`);
  const name = decodeText(bytesOf(view, at + entryBytes, nameEnd), file, 'an entry name');
  if ((flags & 1) !== 0) throw unsupported(file, `its entry ${shown(name)} is encrypted`);
  const method = methodOf(view.getUint16(at + 10, true), name, file);
  const wide = readZip64Extra({ view, from: nameEnd, to: extraEnd, file });
  // Only saturated fields are repeated in the extra field, in this order.
  const size = widened(view.getUint32(at + 24, true), wide, file);
  const compressedSize = widened(view.getUint32(at + 20, true), wide, file);
  const offset = widened(view.getUint32(at + 42, true), wide, file);
  if (method === 'stored' && size !== compressedSize) {
    throw invalid(file, `its stored entry ${shown(name)} has two different sizes`, {
      expected: size,
      got: compressedSize,
    });
  }
  return { entry: { name, method, compressedSize, size, offset }, next };
}

function methodOf(method: number, name: string, file: string): 'stored' | 'deflated' {
  if (method === 0) return 'stored';
  if (method === 8) return 'deflated';
  throw unsupported(
    file,
    `its entry ${shown(name)} is compressed by method ${method}; stored (0) and deflated (8) are read`,
    {
      expected: [0, 8],
      got: method,
    },
  );
}

interface ExtraField {
  readonly view: DataView;
  readonly from: number;
  readonly to: number;
  readonly file: string;
}

/** The 64-bit numbers of the zip64 extra field, last first, so that `pop` takes the next. */
function readZip64Extra({ view, from, to, file }: ExtraField): number[] {
  let at = from;
  while (at + 4 <= to) {
    const id = view.getUint16(at, true);
    const end = at + 4 + view.getUint16(at + 2, true);
    if (end > to) break;
    if (id === zip64ExtraId) {
      const values: number[] = [];
      for (let field = at + 4; field + 8 <= end; field += 8)
        values.unshift(readSize(view, field, file));
      return values;
    }
    at = end;
  }
  return [];
}

function widened(value: number, wide: number[], file: string): number {
  if (value !== saturated32) return value;
  const found = wide.pop();
  if (found === undefined) throw invalid(file, 'an entry needs a zip64 size that is not there');
  return found;
}

/** Sorts by place, and gives each entry the room up to the next one. */
function withLimits(
  found: readonly Omit<ZipEntry, 'limit'>[],
  directory: number,
  file: string,
): ZipEntry[] {
  const sorted = [...found].sort((a, b) => a.offset - b.offset);
  const limitOf = new Map(sorted.map((entry, i) => [entry, sorted[i + 1]?.offset ?? directory]));
  return found.map((entry) => {
    const limit = Math.min(limitOf.get(entry)!, directory);
    const end = entry.offset + localHeaderBytes + entry.compressedSize;
    if (end > limit) {
      throw invalid(
        file,
        `its entry ${shown(entry.name)} overlaps the next one or lies outside the file`,
        {
          expected: limit,
          got: end,
        },
      );
    }
    return { ...entry, limit };
  });
}

function requireSaneRatio(found: readonly Omit<ZipEntry, 'limit'>[], source: ByteSource): void {
  const inflated = found.reduce(
    (sum, { method, size }) => sum + (method === 'deflated' ? size : 0),
    0,
  );
  if (inflated > source.size * limits.inflateRatio) {
    throw invalid(
      source.name,
      `its compressed entries claim to inflate to ${inflated} bytes, more than ${limits.inflateRatio} times the file`,
      {
        expected: source.size * limits.inflateRatio,
        got: inflated,
      },
    );
  }
}

function readSize(view: DataView, at: number, file: string): number {
  const value = view.getBigUint64(at, true);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw invalid(file, `it holds the size ${value.toString()}, beyond 2^53`, { got: value });
  }
  return Number(value);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function bytesOf(view: DataView, from: number, to: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + from, to - from);
}
