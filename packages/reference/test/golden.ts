/** Where the golden vectors are, and how to read what is expected: independent of the loader under test. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const goldenFolder =
  process.env['RWKV_GOLDEN'] ??
  fileURLToPath(new URL('../../../../shared/golden', import.meta.url));
export const isGoldenThere = existsSync(goldenFolder);

export const goldenPath = (...parts: string[]): string => join(goldenFolder, ...parts);

export interface ExpectedTensor {
  readonly shape: readonly number[];
  readonly values: Float64Array;
}

interface HeaderEntry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** Safetensors is eight bytes of header length, JSON, and the data. */
export function readExpected(path: string): ReadonlyMap<string, ExpectedTensor> {
  const file = readFileSync(path);
  const start = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, start)) as Record<string, HeaderEntry>;
  delete header['__metadata__'];
  return new Map(
    Object.entries(header).map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [begin, end],
        },
      ]) => {
        const bytes = file.subarray(start + begin, start + end);
        return [name, { shape, values: readNumbers(bytes, dtype) }];
      },
    ),
  );
}

function readNumbers(bytes: Buffer, type: string): Float64Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const width = type === 'F64' ? 8 : 4;
  return Float64Array.from({ length: bytes.length / width }, (_, index) => {
    if (type === 'F64') return view.getFloat64(index * width, true);
    if (type === 'I32') return view.getInt32(index * width, true);
    throw new Error(`unexpected type ${type}`);
  });
}
