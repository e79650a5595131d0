/**
 * PyTorch's `torch.save` files since 1.6: a ZIP archive `<prefix>/data.pkl` (a pickle of names, shapes and places) with one
 * entry `<prefix>/data/<key>` per storage.
 */
import { isFormatName } from '@rwkv-ts/formats';
import type { ByteSource, ReadOptions } from '../byte-source.js';
import type { RawFile, RawTensor } from '../raw-file.js';
import { allocate } from '../sources/checks.js';
import { invalid, shown, unknownContainer, unsupported } from './failures.js';
import { limits } from './limits.js';
import { readPickle } from './pickle.js';
import type { PickleStorage, PickleTensor } from './pickle-values.js';
import { addTensor, rawFileOf } from './raw-file-of.js';
import { stateDictOf } from './state-dict.js';
import { extentOf, gather, isContiguous, mayOverlap } from './strided.js';
import { tensorBytes } from './tensor-size.js';
import { decodeText } from './text.js';
import { readZipDirectory } from './zip-directory.js';
import type { ZipEntry } from './zip-directory.js';
import { readEntryRange } from './zip-entry.js';

const gatherWindowBytes = 8 * 1024 * 1024;

interface Archive {
  readonly source: ByteSource;
  readonly entries: ReadonlyMap<string, ZipEntry>;
  /** With its slash; empty where the entries lie at the top. */
  readonly prefix: string;
}

/**
 * The file takes over `source`.
 * @throws WeightsError `CONTAINER_INVALID`, `CONTAINER_UNSUPPORTED` (TorchScript, big-endian, encrypted, an unread type),
 * `CONTAINER_UNKNOWN` (some other ZIP archive), `PICKLE_REFUSED`, `READ_OUT_OF_RANGE`
 */
export async function openPth(source: ByteSource, options: ReadOptions = {}): Promise<RawFile> {
  const entries = await readZipDirectory(source, options);
  const pickleEntry = findPickle(entries, source.name);
  const prefix = pickleEntry.name.slice(0, -'data.pkl'.length);
  const archive: Archive = { source, entries, prefix };
  refuseTorchScript(archive);
  await refuseBigEndian(archive, options);
  if (pickleEntry.size > limits.pickleBytes) {
    throw invalid(
      source.name,
      `its pickle claims ${pickleEntry.size} bytes; at most ${limits.pickleBytes} are read`,
      {
        expected: limits.pickleBytes,
        got: pickleEntry.size,
      },
    );
  }
  const pickle = await readEntryRange(
    { source, entry: pickleEntry, offset: 0, length: pickleEntry.size },
    options,
  );
  const { tensors: pickled, metadata } = stateDictOf(readPickle(pickle, source.name), source.name);
  const tensors = new Map<string, RawTensor>();
  for (const [name, tensor] of pickled)
    addTensor(tensors, tensorOf(archive, name, tensor), source.name);
  refuseEndlessInflation(archive, pickled.values());
  return rawFileOf({ container: 'pth', source, tensors, metadata });
}

function findPickle(entries: ReadonlyMap<string, ZipEntry>, file: string): ZipEntry {
  const found = [...entries.values()].filter(({ name }) => /^(?:[^/]+\/)?data\.pkl$/.test(name));
  const [entry] = found;
  if (entry === undefined) {
    throw unknownContainer(
      file,
      'it is a ZIP archive, and not one that PyTorch wrote (it has no data.pkl); if a model file is packed in it, unpack it first',
    );
  }
  if (found.length > 1)
    throw invalid(file, `it has ${found.length} pickles named data.pkl`, {
      expected: 1,
      got: found.length,
    });
  return entry;
}

function refuseTorchScript({ source, entries, prefix }: Archive): void {
  const hasCode = [...entries.keys()].some(
    (name) => name.startsWith(`${prefix}code/`) || name === `${prefix}constants.pkl`,
  );
  if (hasCode) {
    throw unsupported(
      source.name,
      'it is a TorchScript program, not a file of weights; save `model.state_dict()` with torch.save instead',
    );
  }
}

async function refuseBigEndian(
  { source, entries, prefix }: Archive,
  options: ReadOptions,
): Promise<void> {
  const entry = entries.get(`${prefix}byteorder`);
  if (entry === undefined) return;
  const longest = 16;
  const bytes = await readEntryRange(
    { source, entry, offset: 0, length: Math.min(entry.size, longest) },
    options,
  );
  const order = decodeText(bytes, source.name, 'its byte order').trim();
  if (order === 'little') return;
  if (order === 'big') {
    throw unsupported(
      source.name,
      'it was written on a big-endian machine; load and save it again on a little-endian one',
      {
        expected: 'little',
        got: order,
      },
    );
  }
  throw invalid(source.name, `its byte order is ${shown(order)}`, {
    expected: 'little',
    got: order,
  });
}

function tensorOf(archive: Archive, name: string, view: PickleTensor): RawTensor {
  const file = archive.source.name;
  const { storage, shape, offset } = view;
  const { format } = storage;
  if (!isFormatName(format)) {
    throw unsupported(file, `tensor ${shown(name)} holds ${format} numbers, which are not read`, {
      got: format,
    });
  }
  const byteLength = tensorBytes({ file, tensor: name, shape, format });
  const itemBytes = tensorBytes({ file, tensor: name, shape: [1], format });
  const entry = storageEntry(archive, { name, storage, itemBytes });
  requireInside(view, name, file);
  const read = (start: number, length: number, options: ReadOptions) =>
    readEntryRange(
      { source: archive.source, entry, offset: offset * itemBytes + start, length },
      options,
    );
  return {
    name,
    shape,
    format,
    byteLength,
    read: (options = {}) =>
      isContiguous(view)
        ? read(0, byteLength, options)
        : readStrided({
            view,
            itemBytes,
            byteLength,
            file,
            // Every read of a deflated entry inflates it whole, so there it is read once.
            windowBytes: entry.method === 'deflated' ? Infinity : gatherWindowBytes,
            read: (start, length) => read(start, length, options),
          }),
  };
}

interface StorageOf {
  /** Of the tensor, for errors. */
  readonly name: string;
  readonly storage: PickleStorage;
  readonly itemBytes: number;
}

/** The archive's entry of a storage, of exactly the size that the pickle says. */
function storageEntry(
  { source, entries, prefix }: Archive,
  { name, storage, itemBytes }: StorageOf,
): ZipEntry {
  const file = source.name;
  const entry = entries.get(`${prefix}data/${storage.key}`);
  if (entry === undefined)
    throw invalid(
      file,
      `the bytes of tensor ${shown(name)} (data/${shown(storage.key)}) are missing`,
    );
  if (entry.size !== storage.count * itemBytes) {
    throw invalid(
      file,
      `the storage of tensor ${shown(name)} has ${entry.size} bytes, and ${storage.count} numbers of ${storage.format} need ${storage.count * itemBytes}`,
      {
        expected: storage.count * itemBytes,
        got: entry.size,
      },
    );
  }
  return entry;
}

/** Elements that share a place are refused: nobody saves weights so, and it would let few bytes claim to be many. */
function requireInside(view: PickleTensor, name: string, file: string): void {
  const end = view.offset + extentOf(view);
  if (end > view.storage.count) {
    throw invalid(
      file,
      `tensor ${shown(name)} reaches to number ${end} of a storage of ${view.storage.count}`,
      {
        expected: view.storage.count,
        got: end,
      },
    );
  }
  if (!view.shape.includes(0) && mayOverlap(view)) {
    throw unsupported(
      file,
      `tensor ${shown(name)} is an expanded or overlapping view; save a contiguous copy`,
      {
        got: view.strides,
      },
    );
  }
}

/** Each read of a deflated storage inflates it whole: thousands of tensors that share one would take hours. */
function refuseEndlessInflation(
  { source, entries, prefix }: Archive,
  tensors: Iterable<PickleTensor>,
): void {
  let inflated = 0;
  for (const { storage } of tensors) {
    const entry = entries.get(`${prefix}data/${storage.key}`);
    if (entry?.method === 'deflated') inflated += entry.size;
  }
  const most = source.size * limits.inflateRatio;
  if (inflated <= most) return;
  throw invalid(
    source.name,
    `its tensors share compressed storages, and reading each would inflate ${inflated} bytes, more than ${limits.inflateRatio} times the file`,
    { expected: most, got: inflated },
  );
}

interface StridedRead {
  readonly view: PickleTensor;
  readonly itemBytes: number;
  readonly byteLength: number;
  readonly file: string;
  readonly windowBytes: number;
  readonly read: (start: number, length: number) => Promise<Uint8Array>;
}

async function readStrided({ byteLength, file, ...parts }: StridedRead): Promise<Uint8Array> {
  const into = allocate(file, byteLength);
  await gather({ ...parts, into });
  return into;
}
