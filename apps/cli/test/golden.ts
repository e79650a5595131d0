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
/** `title`, or why the tests of that title do not run. */
export function goldenTitle(title: string): string {
  return goldenFolder === undefined ? `${title} (${goldenMissing})` : title;
}

export function goldenPath(...parts: string[]): string {
  return join(goldenFolder ?? candidates[0] ?? '', ...parts);
}

export function readJsonLines<Line>(path: string): Line[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);
}

interface HeaderEntry {
  readonly dtype: string;
  readonly data_offsets: readonly [number, number];
}

/** A float64 or int32 tensor of an `expected.*.safetensors`: header length, JSON header, data. */
export function readExpected(path: string, name: string): number[] {
  const file = readFileSync(path);
  const headerLength = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, 8 + headerLength)) as Record<
    string,
    HeaderEntry | undefined
  >;
  const entry = header[name];
  if (!entry) throw new Error(`${path} has no ${name}`);
  const [begin, end] = entry.data_offsets;
  const bytes = file.subarray(8 + headerLength + begin, 8 + headerLength + end);
  if (entry.dtype === 'F64')
    return Array.from({ length: bytes.length / 8 }, (_, at) => bytes.readDoubleLE(at * 8));
  if (entry.dtype === 'I32')
    return Array.from({ length: bytes.length / 4 }, (_, at) => bytes.readInt32LE(at * 4));
  throw new Error(`unexpected type ${entry.dtype}`);
}

export interface GoldenModel {
  readonly id: string;
  readonly version: string;
  readonly path: string;
  readonly expected: string;
}

const model = (folder: string, variant: string): GoldenModel => ({
  id: `${folder} ${variant}`,
  version: folder.slice(1),
  path: goldenPath(folder, `model.${variant}.pth`),
  expected: goldenPath(folder, `expected.${variant}.safetensors`),
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

/** The largest absolute difference; NaN counts as infinite. */
export function worstDifference(got: readonly number[], expected: readonly number[]): number {
  if (got.length !== expected.length) return Infinity;
  let worst = 0;
  for (let index = 0; index < got.length; index++) {
    const difference = Math.abs((got[index] ?? NaN) - (expected[index] ?? NaN));
    if (!(difference <= worst)) worst = Number.isNaN(difference) ? Infinity : difference;
  }
  return worst;
}
