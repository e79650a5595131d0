/**
 * GGUF versions 2 and 3, little-endian: "GGUF", u32 version, u64 tensors, u64 keys; the keys and values; the tensors'
 * names, sizes (fastest first), types and offsets; then, aligned, their bytes.
 */
import type { FormatName } from '@rwkv-ts/formats';
import type { ByteSource, ReadOptions } from '../byte-source.js';
import type { MetadataValue, RawFile, RawTensor } from '../raw-file.js';
import { bufferedReader } from '../sources/buffered-reader.js';
import { invalid, shown, shownValue, unsupported } from './failures.js';
import { ggufFormat } from './ggml-types.js';
import { readCount, readName, readValue } from './gguf-metadata.js';
import type { GgufReader } from './gguf-metadata.js';
import { limits } from './limits.js';
import { addTensor, rawFileOf, refuseOverlaps, storedTensor } from './raw-file-of.js';

/** What one tensor, and one key with its value, take in the header at least. */
const leastTensorBytes = 8 + 4 + 4 + 8;
const leastKeyBytes = 8 + 4 + 1;
const defaultAlignment = 32;

/**
 * The file takes over `source`.
 * @throws WeightsError `CONTAINER_INVALID`, `CONTAINER_UNSUPPORTED` (version 1, big-endian, split, an unread type),
 * `READ_OUT_OF_RANGE`
 */
export async function openGguf(source: ByteSource, options: ReadOptions = {}): Promise<RawFile> {
  const reader = bufferedReader(source, options);
  const gguf: GgufReader = { reader, file: source.name, valuesLeft: limits.ggufValues };
  reader.skip(4);
  requireVersion(await reader.u32(), source.name);
  const tensorCount = await readCount(
    gguf,
    'the number of tensors',
    most(gguf, limits.tensors, leastTensorBytes),
  );
  const keyCount = await readCount(
    gguf,
    'the number of metadata keys',
    most(gguf, limits.ggufKeys, leastKeyBytes),
  );
  const metadata = await readMetadata(gguf, keyCount);
  refuseSplit(metadata, source.name);
  const infos: TensorInfo[] = [];
  for (let i = 0; i < tensorCount; i++) infos.push(await readTensorInfo(gguf));
  const alignment = alignmentOf(metadata, source.name);
  const start = Math.ceil(reader.position / alignment) * alignment;
  const tensors = new Map<string, RawTensor>();
  const extents = infos.map(({ name, shape, format, offset }) => {
    requireAligned({ file: source.name, name, offset, alignment });
    const tensor = storedTensor({ source, offset: start + offset, tensor: name, shape, format });
    addTensor(tensors, tensor, source.name);
    return { name, start: offset, end: offset + tensor.byteLength };
  });
  refuseOverlaps(extents, source.name);
  return rawFileOf({ container: 'gguf', source, tensors, metadata });
}

function most({ reader }: GgufReader, limit: number, leastBytes: number): number {
  return Math.max(0, Math.min(limit, Math.floor(reader.remaining / leastBytes)));
}

function requireVersion(version: number, file: string): void {
  if (version === 2 || version === 3) return;
  // A small number whose bytes are the other way round.
  if ((version & 0xffff) === 0 && version !== 0) {
    throw unsupported(file, 'it is a big-endian GGUF file; use a little-endian one', {
      got: version,
    });
  }
  throw unsupported(
    file,
    `it is GGUF version ${version}; versions 2 and 3 are read. Convert the model again with a current converter`,
    {
      expected: [2, 3],
      got: version,
    },
  );
}

async function readMetadata(gguf: GgufReader, count: number): Promise<Map<string, MetadataValue>> {
  const metadata = new Map<string, MetadataValue>();
  for (let i = 0; i < count; i++) {
    const key = await readName(gguf, 'a metadata key');
    if (metadata.has(key))
      throw invalid(gguf.file, `it has the metadata key ${shown(key)} twice`, { got: key });
    metadata.set(key, await readValue(gguf, await gguf.reader.u32(), key));
  }
  return metadata;
}

function refuseSplit(metadata: ReadonlyMap<string, MetadataValue>, file: string): void {
  const count = metadata.get('split.count');
  if (count === undefined || count === 0 || count === 1) return;
  throw unsupported(
    file,
    `it is one part of a model split into ${shownValue(count)} files; merge them with \`llama-gguf-split --merge\``,
    {
      expected: 1,
      got: count,
    },
  );
}

function alignmentOf(metadata: ReadonlyMap<string, MetadataValue>, file: string): number {
  const alignment = metadata.get('general.alignment') ?? defaultAlignment;
  if (
    typeof alignment === 'number' &&
    alignment >= 1 &&
    alignment <= limits.ggufAlignment &&
    Number.isInteger(Math.log2(alignment))
  ) {
    return alignment;
  }
  throw invalid(
    file,
    `general.alignment is ${shownValue(alignment)}; it is a power of two, at most ${limits.ggufAlignment}`,
    {
      got: alignment,
    },
  );
}

interface TensorInfo {
  readonly name: string;
  /** Row-major: the file's sizes reversed. */
  readonly shape: readonly number[];
  readonly format: FormatName;
  /** From the start of the data. */
  readonly offset: number;
}

async function readTensorInfo(gguf: GgufReader): Promise<TensorInfo> {
  const { reader, file } = gguf;
  const name = await readName(gguf, 'a tensor name');
  const dimensions = await reader.u32();
  if (dimensions > limits.dimensions) {
    throw invalid(
      file,
      `tensor ${shown(name)} has ${dimensions} dimensions; at most ${limits.dimensions} are read`,
      {
        expected: limits.dimensions,
        got: dimensions,
      },
    );
  }
  const shape: number[] = [];
  for (let i = 0; i < dimensions; i++) {
    shape.unshift(
      await readCount(gguf, `a dimension of tensor ${shown(name)}`, Number.MAX_SAFE_INTEGER),
    );
  }
  const format = ggufFormat(await reader.u32(), { file, tensor: name });
  const offset = await readCount(gguf, `the offset of tensor ${shown(name)}`, reader.remaining);
  return { name, shape, format, offset };
}

interface Aligned {
  readonly file: string;
  readonly name: string;
  readonly offset: number;
  readonly alignment: number;
}

function requireAligned({ file, name, offset, alignment }: Aligned): void {
  if (offset % alignment === 0) return;
  throw invalid(
    file,
    `tensor ${shown(name)} starts at ${offset}, which is no multiple of the alignment ${alignment}`,
    {
      expected: alignment,
      got: offset,
    },
  );
}
