/**
 * safetensors: u64 header length N, N bytes of JSON, then the tensors' bytes; offsets count from the end of the header.
 * Every byte after the header belongs to exactly one tensor (the format's own rule against smuggled data).
 */
import { isFormatName } from '@rwkv-ts/formats';
import type { ByteSource, ReadOptions } from '../byte-source.js';
import type { MetadataValue, RawFile, RawTensor } from '../raw-file.js';
import { bufferedReader } from '../sources/buffered-reader.js';
import { invalid, shown, unsupported } from './failures.js';
import { parseJson } from './json.js';
import type { JsonObject, JsonValue } from './json.js';
import { limits } from './limits.js';
import { addTensor, rawFileOf, storedTensor } from './raw-file-of.js';
import { decodeText } from './text.js';

/** dtype to format. One that `@rwkv-ts/formats` does not read is refused by name, as is everything not listed. */
const dtypes = new Map([
  ['F64', 'f64'],
  ['F32', 'f32'],
  ['F16', 'f16'],
  ['BF16', 'bf16'],
  ['I64', 'i64'],
  ['I32', 'i32'],
  ['I16', 'i16'],
  ['I8', 'i8'],
  ['U8', 'u8'],
  ['BOOL', 'bool'],
]);

interface Entry {
  readonly tensor: RawTensor;
  /** Counted from the end of the header. */
  readonly begin: number;
  readonly end: number;
}

/**
 * The file takes over `source`.
 * @throws WeightsError `CONTAINER_INVALID`, `CONTAINER_UNSUPPORTED` (an unread dtype), `READ_OUT_OF_RANGE`
 */
export async function openSafetensors(
  source: ByteSource,
  options: ReadOptions = {},
): Promise<RawFile> {
  const file = source.name;
  const reader = bufferedReader(source, options);
  const headerBytes = await reader.u64();
  if (headerBytes > BigInt(limits.safetensorsHeaderBytes)) {
    throw invalid(
      file,
      `its header claims ${headerBytes.toString()} bytes; at most ${limits.safetensorsHeaderBytes} are read`,
      {
        expected: limits.safetensorsHeaderBytes,
        got: headerBytes,
      },
    );
  }
  const text = decodeText(await reader.bytes(Number(headerBytes)), file, 'its header');
  const header = parseJson(text, file);
  if (!(header instanceof Map)) throw invalid(file, 'its header is not a JSON object');
  const start = reader.position;
  const entries: Entry[] = [];
  for (const [name, info] of header as JsonObject) {
    if (name !== '__metadata__') entries.push(entryOf({ source, name, info, start }));
  }
  requireGapless(entries, source, start);
  const tensors = new Map<string, RawTensor>();
  for (const { tensor } of entries.sort((a, b) => a.begin - b.begin))
    addTensor(tensors, tensor, file);
  const metadata = metadataOf((header as JsonObject).get('__metadata__'), file);
  return rawFileOf({ container: 'safetensors', source, tensors, metadata });
}

interface EntryInput {
  readonly source: ByteSource;
  readonly name: string;
  readonly info: JsonValue;
  readonly start: number;
}

function entryOf({ source, name, info, start }: EntryInput): Entry {
  const file = source.name;
  const wrong = (what: string) => invalid(file, `tensor ${shown(name)} ${what}`);
  if (!(info instanceof Map)) throw wrong('is not described by an object');
  const fields = info as JsonObject;
  const dtype = fields.get('dtype');
  const shape = numbersOf(fields.get('shape'));
  const offsets = numbersOf(fields.get('data_offsets'));
  if (typeof dtype !== 'string') throw wrong('has no dtype');
  if (shape === undefined) throw wrong('has no shape of non-negative integers');
  const [begin, end] = offsets ?? [];
  if (offsets?.length !== 2 || begin === undefined || end === undefined || begin > end) {
    throw wrong('has no data_offsets [begin, end]');
  }
  const format = dtypes.get(dtype);
  if (format === undefined || !isFormatName(format)) {
    throw unsupported(
      file,
      `tensor ${shown(name)} has dtype ${shown(dtype)}, which is not read; convert it to BF16, F16 or F32`,
      {
        expected: [...dtypes].filter(([, known]) => isFormatName(known)).map(([key]) => key),
        got: dtype,
      },
    );
  }
  const tensor = storedTensor({ source, offset: start + begin, tensor: name, shape, format });
  if (tensor.byteLength !== end - begin) {
    throw invalid(
      file,
      `tensor ${shown(name)} has ${end - begin} bytes, and ${dtype} [${shape.join(', ')}] needs ${tensor.byteLength}`,
      {
        expected: tensor.byteLength,
        got: end - begin,
      },
    );
  }
  return { tensor, begin, end };
}

function numbersOf(value: JsonValue | undefined): number[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const numbers = value as readonly JsonValue[];
  const areSizes = numbers.every((n): n is number => Number.isSafeInteger(n) && (n as number) >= 0);
  // `+ 0` turns the -0 that JSON allows into 0.
  return areSizes ? numbers.map((n) => n + 0) : undefined;
}

function requireGapless(entries: readonly Entry[], source: ByteSource, start: number): void {
  let at = 0;
  for (const { tensor, begin, end } of [...entries].sort(
    (a, b) => a.begin - b.begin || a.end - b.end,
  )) {
    if (begin !== at) {
      throw invalid(
        source.name,
        `tensor ${shown(tensor.name)} ${begin < at ? 'overlaps the one before it' : 'leaves a hole before it'}`,
        {
          expected: at,
          got: begin,
        },
      );
    }
    at = end;
  }
  if (start + at !== source.size) {
    throw invalid(
      source.name,
      `it has ${source.size} bytes, and its header describes ${start + at}`,
      {
        expected: start + at,
        got: source.size,
      },
    );
  }
}

function metadataOf(
  value: JsonValue | undefined,
  file: string,
): ReadonlyMap<string, MetadataValue> {
  const metadata = new Map<string, MetadataValue>();
  if (value === undefined) return metadata;
  if (!(value instanceof Map)) throw invalid(file, '__metadata__ is not an object');
  for (const [key, text] of value as JsonObject) {
    if (typeof text !== 'string') throw invalid(file, `__metadata__ ${shown(key)} is not a string`);
    metadata.set(key, text);
  }
  return metadata;
}
