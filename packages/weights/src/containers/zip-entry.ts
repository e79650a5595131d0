import type { ByteSource, ReadOptions } from '../byte-source.js';
import { allocate } from '../sources/checks.js';
import { invalid, shown } from './failures.js';
import { decodeText } from './text.js';
import { localHeaderBytes } from './zip-directory.js';
import type { ZipEntry } from './zip-directory.js';

const localSignature = 0x04034b50;

export interface EntryRange {
  readonly source: ByteSource;
  readonly entry: ZipEntry;
  /** In the uncompressed bytes. */
  readonly offset: number;
  readonly length: number;
}

/**
 * Part of an entry. Of a stored one just these bytes are read; a deflated one is inflated whole, up to the size that its
 * directory entry claims and not a byte further.
 * @throws WeightsError `CONTAINER_INVALID`
 */
export async function readEntryRange(
  { source, entry, offset, length }: EntryRange,
  options: ReadOptions = {},
): Promise<Uint8Array> {
  if (offset + length > entry.size) {
    throw invalid(
      source.name,
      `${shown(entry.name)} has ${entry.size} bytes, and bytes up to ${offset + length} are needed`,
      {
        expected: entry.size,
        got: offset + length,
      },
    );
  }
  const start = await locateData(source, entry, options);
  if (entry.method === 'stored') return source.read(start + offset, length, options);
  const compressed = await source.read(start, entry.compressedSize, options);
  const whole = await inflate({
    compressed,
    size: entry.size,
    file: source.name,
    entry: entry.name,
  });
  return length === entry.size ? whole : whole.slice(offset, offset + length);
}

/** Behind the local header, whose extra field (PyTorch pads with it) the directory does not tell. */
async function locateData(
  source: ByteSource,
  entry: ZipEntry,
  options: ReadOptions,
): Promise<number> {
  const { name: file } = source;
  const header = await source.read(entry.offset, localHeaderBytes, options);
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  if (view.getUint32(0, true) !== localSignature) {
    throw invalid(
      file,
      `there is no entry header at ${entry.offset}, where ${shown(entry.name)} should be`,
    );
  }
  const nameBytes = view.getUint16(26, true);
  const start = entry.offset + localHeaderBytes + nameBytes + view.getUint16(28, true);
  if (start + entry.compressedSize > entry.limit) {
    throw invalid(file, `the entry ${shown(entry.name)} runs into the next one`, {
      expected: entry.limit,
      got: start + entry.compressedSize,
    });
  }
  const name = decodeText(
    await source.read(entry.offset + localHeaderBytes, nameBytes, options),
    file,
    'an entry name',
  );
  if (name !== entry.name) {
    throw invalid(file, `the entry ${shown(entry.name)} calls itself ${shown(name)}`, {
      expected: entry.name,
      got: name,
    });
  }
  return start;
}

interface Deflated {
  readonly compressed: Uint8Array;
  readonly size: number;
  readonly file: string;
  readonly entry: string;
}

/** Raw DEFLATE through the platform's own stream, into an array of the claimed size. */
async function inflate({ compressed, size, file, entry }: Deflated): Promise<Uint8Array> {
  const result = allocate(file, size);
  const stream = new Blob([compressed as Uint8Array<ArrayBuffer>])
    .stream()
    .pipeThrough(new DecompressionStream('deflate-raw'));
  const reader = stream.getReader();
  let at = 0;
  for (;;) {
    const { done, value } = await reader.read().catch((cause: unknown) => {
      throw invalid(file, `the compressed entry ${shown(entry)} is broken`, { cause });
    });
    if (done) break;
    if (value.length > size - at) {
      await reader.cancel().catch(() => undefined);
      throw invalid(
        file,
        `the entry ${shown(entry)} inflates to more than the ${size} bytes it claims`,
        { expected: size },
      );
    }
    result.set(value, at);
    at += value.length;
  }
  if (at !== size) {
    throw invalid(file, `the entry ${shown(entry)} inflates to ${at} bytes and claims ${size}`, {
      expected: size,
      got: at,
    });
  }
  return result;
}
