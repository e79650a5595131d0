/**
 * rwkv.cpp's own files, versions 100 and 101: six i32 of header, then tensor after tensor to the end of the file, each
 * with its own header (dimension count, name length, type; the dimensions, fastest first; the name) before its bytes.
 * There is no index, and no count either: opening walks over all tensor headers, and a file cut between two tensors is
 * complete as far as the container can tell.
 */
import type { FormatName } from '@rwkv-ts/formats';
import type { ByteSource, ReadOptions } from '../byte-source.js';
import type { RawFile, RawTensor } from '../raw-file.js';
import { bufferedReader } from '../sources/buffered-reader.js';
import type { BufferedReader } from '../sources/buffered-reader.js';
import { invalid, shown, unsupported } from './failures.js';
import { rwkvCppFormat } from './ggml-types.js';
import { limits } from './limits.js';
import { addTensor, rawFileOf, storedTensor } from './raw-file-of.js';
import { decodeText } from './text.js';

const oldestVersion = 100;
const newestVersion = 101;
const mostDimensions = 3;
/** A header hop usually lands beyond any buffer, so a short one costs least. */
const bufferBytes = 4096;

/**
 * The file takes over `source`. Metadata: `version`, `n_vocab`, `n_embed`, `n_layer`, `data_type`.
 * @throws WeightsError `CONTAINER_INVALID`, `CONTAINER_UNSUPPORTED` (other versions, quantised files of version 100,
 * types that rwkv.cpp removed), `READ_OUT_OF_RANGE`
 */
export async function openRwkvCpp(source: ByteSource, options: ReadOptions = {}): Promise<RawFile> {
  const file = source.name;
  const reader = bufferedReader(source, { ...options, bufferBytes });
  reader.skip(4);
  const version = await reader.i32();
  if (version < oldestVersion || version > newestVersion) {
    throw unsupported(
      file,
      `it is version ${version} of the rwkv.cpp format; versions ${oldestVersion} and ${newestVersion} are read`,
      {
        expected: [oldestVersion, newestVersion],
        got: version,
      },
    );
  }
  const metadata = new Map<string, number>([['version', version]]);
  for (const field of ['n_vocab', 'n_embed', 'n_layer']) {
    metadata.set(field, await readPositive(reader, file, field));
  }
  const dataType = await reader.i32();
  metadata.set('data_type', dataType);
  readFormat({ type: dataType, version, file, what: 'the file' });
  const tensors = new Map<string, RawTensor>();
  while (reader.remaining > 0)
    addTensor(tensors, await readTensor({ reader, source, version }), file);
  if (tensors.size === 0)
    throw invalid(file, 'it holds no tensors; the download may be incomplete');
  return rawFileOf({ container: 'rwkv.cpp', source, tensors, metadata });
}

interface TensorPlace {
  readonly reader: BufferedReader;
  readonly source: ByteSource;
  readonly version: number;
}

async function readTensor({ reader, source, version }: TensorPlace): Promise<RawTensor> {
  const file = source.name;
  const at = reader.position;
  const dimensions = await reader.i32();
  const nameBytes = await reader.i32();
  const type = await reader.i32();
  if (dimensions < 1 || dimensions > mostDimensions) {
    throw invalid(
      file,
      `the tensor at ${at} has ${dimensions} dimensions; 1 to ${mostDimensions} are possible`,
      {
        expected: mostDimensions,
        got: dimensions,
      },
    );
  }
  if (nameBytes < 1 || nameBytes > limits.nameBytes) {
    throw invalid(
      file,
      `the tensor at ${at} has a name of ${nameBytes} bytes; 1 to ${limits.nameBytes} are read`,
      {
        expected: limits.nameBytes,
        got: nameBytes,
      },
    );
  }
  const shape: number[] = [];
  for (let i = 0; i < dimensions; i++) {
    shape.unshift(await readPositive(reader, file, `a dimension of the tensor at ${at}`));
  }
  const tensor = decodeText(await reader.bytes(nameBytes), file, `the name of the tensor at ${at}`);
  const format = readFormat({ type, version, file, what: `tensor ${shown(tensor)}` });
  const stored = storedTensor({ source, offset: reader.position, tensor, shape, format });
  reader.skip(stored.byteLength);
  return stored;
}

async function readPositive(reader: BufferedReader, file: string, what: string): Promise<number> {
  const value = await reader.i32();
  if (value < 1)
    throw invalid(file, `${what} is ${value}; it is positive`, { expected: 1, got: value });
  return value;
}

interface TypeField {
  readonly type: number;
  readonly version: number;
  readonly file: string;
  readonly what: string;
}

function readFormat({ type, version, file, what }: TypeField): FormatName {
  const format = rwkvCppFormat(type, { file, what });
  if (version === oldestVersion && format !== 'f32' && format !== 'f16') {
    throw unsupported(
      file,
      `${what} is quantised as ${format} in a file of version ${version}; the blocks were laid out differently then. Quantise the model again`,
      {
        expected: newestVersion,
        got: version,
      },
    );
  }
  return format;
}
