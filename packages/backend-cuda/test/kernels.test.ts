/** src/kernels against native/kernels: what TypeScript writes is what a kernel reads. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { kernels } from '../src/kernels/all.js';
import { argumentsLayout, type FieldKind, type Fields, layoutOf } from '../src/kernels/kernel.js';
import { emulation } from './emulated.js';

interface Field {
  readonly name: string;
  readonly kind: string;
  readonly offset: number;
  readonly bytes: number;
}
interface Struct {
  readonly name: string;
  readonly bytes: number;
  readonly fields: readonly Field[];
}
interface Listed {
  readonly kernels: readonly {
    readonly name: string;
    readonly arguments: string;
    readonly bytes: number;
    readonly mostThreads: number;
  }[];
  readonly structs: readonly Struct[];
}

const script = fileURLToPath(new URL('../scripts/emulation.mjs', import.meta.url));

function list(): Listed {
  const { stdout, stderr, status } = spawnSync(process.execPath, [script, '--list'], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Listed;
}

/** As the C++ side tells them: what is made of other numbers is bytes. */
const toldAs: { readonly [K in FieldKind]: { readonly kind: string; readonly bytes: number } } = {
  rows: { kind: 'rows', bytes: 16 },
  pointer: { kind: 'pointer', bytes: 8 },
  count: { kind: 'count', bytes: 4 },
  number: { kind: 'number', bytes: 4 },
  matrix: { kind: 'bytes', bytes: 40 },
  prepared: { kind: 'bytes', bytes: 24 },
};

function expected(fields: Fields): Field[] {
  const { offsets } = layoutOf(fields);
  return Object.entries(fields).map(([name, kind]) => ({
    name,
    ...toldAs[kind],
    offset: offsets.get(name)!,
  }));
}

describe.skipIf(emulation.missing)(`emulated device ${emulation.missing ?? ''}`, () => {
  const { kernels: native, structs } = emulation.missing ? { kernels: [], structs: [] } : list();

  test.each(kernels.map((kernel) => [kernel.name, kernel] as const))('%s', (name, kernel) => {
    const found = native.find((each) => each.name === `rwkv_${name}`);
    expect(found, 'native kernel').toBeDefined();
    expect(kernel.threads % 32).toBe(0);
    expect(kernel.threads).toBeLessThanOrEqual(found!.mostThreads);
    const layout = argumentsLayout(kernel);
    expect(layout.bytes).toBe(found!.bytes);
    const struct = structs.find((each) => each.name === found!.arguments);
    const own = struct?.fields.filter((field) => field.name !== 'jobs');
    expect(own).toEqual(expected(kernel.fields));
    if (!kernel.jobs) return;
    const { fields, most } = kernel.jobs;
    const jobs = struct?.fields.find((field) => field.name === 'jobs');
    const { bytes } = layoutOf(fields);
    expect(jobs).toMatchObject({ offset: layout.jobsAt, bytes: most * bytes });
    expect(
      structs.filter((each) => each.bytes === bytes).map((each) => each.fields),
    ).toContainEqual(expected(fields));
  });

  test('no kernel is left out', () => {
    const names = new Set(kernels.map(({ name }) => `rwkv_${name}`));
    expect(native.filter(({ name }) => !names.has(name)).map(({ name }) => name)).toEqual([]);
  });
});
