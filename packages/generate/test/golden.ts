/** Where the golden vectors are, and how to read them: independent of the loader under test. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const candidates = [
  process.env['RWKV_GOLDEN'],
  fileURLToPath(new URL('../../../../shared/golden', import.meta.url)),
].filter((path): path is string => path !== undefined && path !== '');

export const goldenFolder = candidates.find((path) => existsSync(path));
/** For the title of a skipped test. */
export const goldenMissing = `golden vectors not found at ${candidates.join(' or ')}`;

export function goldenPath(...parts: string[]): string {
  return join(goldenFolder ?? candidates[0] ?? '', ...parts);
}

export interface ExpectedTensor {
  readonly shape: readonly number[];
  readonly values: Float64Array;
}

interface HeaderEntry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** An `expected.*.safetensors`: the format is eight bytes of header length, JSON, and the data. */
export function readExpected(path: string): ReadonlyMap<string, ExpectedTensor> {
  const file = readFileSync(path);
  const headerLength = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, 8 + headerLength)) as Record<
    string,
    HeaderEntry
  >;
  const tensors = new Map<string, ExpectedTensor>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const [begin, end] = entry.data_offsets;
    const bytes = file.subarray(8 + headerLength + begin, 8 + headerLength + end);
    tensors.set(name, { shape: entry.shape, values: readNumbers(bytes, entry.dtype) });
  }
  return tensors;
}

function readNumbers(bytes: Buffer, type: string): Float64Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (type) {
    case 'F64':
      return Float64Array.from({ length: bytes.length / 8 }, (_, index) =>
        view.getFloat64(index * 8, true),
      );
    case 'F32':
      return Float64Array.from({ length: bytes.length / 4 }, (_, index) =>
        view.getFloat32(index * 4, true),
      );
    case 'I32':
      return Float64Array.from({ length: bytes.length / 4 }, (_, index) =>
        view.getInt32(index * 4, true),
      );
    default:
      throw new Error(`unexpected type ${type}`);
  }
}

export interface GoldenModel {
  readonly id: string;
  readonly folder: string;
  readonly file: string;
  readonly expected: string;
}

const model = (folder: string, variant: string): GoldenModel => ({
  id: `${folder} ${variant}`,
  folder,
  file: `model.${variant}.pth`,
  expected: `expected.${variant}.safetensors`,
});

/** Every public checkpoint with the outputs of the official inference code. */
export const goldenModels: readonly GoldenModel[] = [
  model('v4', 'fp32'),
  model('v4', 'bf16'),
  model('v5.0', 'fp32'),
  model('v5.0', 'faaaa-small.fp32'),
  model('v5.1', 'fp32'),
  model('v5.2', 'fp32'),
  model('v6', 'fp32'),
  model('v7', 'fp32'),
  model('v7', 'bf16'),
  model('v7', 'hs32-small.fp32'),
];

/** The largest absolute difference, and where; NaN counts as infinite. */
export function worstDifference(got: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (got.length !== expected.length) return Infinity;
  let worst = 0;
  for (let index = 0; index < got.length; index++) {
    const difference = Math.abs(got[index]! - expected[index]!);
    if (!(difference <= worst)) worst = Number.isNaN(difference) ? Infinity : difference;
  }
  return worst;
}
