/** Programs planned without a device, and what their launches touch. */
import type { Limits, Program, WeightFormat } from '@rwkv-ts/backend';
import { sparseWeights } from '@rwkv-ts/program';
import { expect } from 'vitest';
import { type Bucket, rowSizes, tokenSizes } from '../src/buckets.js';
import type { MatrixFeatures } from '../src/kernels/linear.js';
import { formatLayouts, placeMatrix, type StoredMatrix } from '../src/weights/layout.js';
import type { KernelLaunch } from '../src/encode/arguments.js';
import type { Argument, Buffer, Launch, WeightOf } from '../src/encode/graph.js';
import { launchesFor, type Plan, planProgram } from '../src/encode/plan.js';
import { type Addresses, sizeOf } from '../src/encode/resolve.js';
import type { ProgramSegment } from '../src/split/segments.js';

/** Where the device is said to have everything. */
export const base = { arena: 0x7f00_0000_0000, parameters: 0x10_0000, counters: 0x20_0000 };
const [stateStride, matrixStride, tableStride] = [0x1000, 0x10_0000, 0x100];

export interface PlanParts {
  readonly limits: Limits;
  /** Of matrices whose rows it divides, other weights are f16. */
  readonly format?: WeightFormat | ((name: string) => WeightFormat);
  readonly tensorCores?: MatrixFeatures['tensorCores'];
  readonly segment?: ProgramSegment;
}

export function storedAs(program: Program, given: NonNullable<PlanParts['format']>): WeightOf {
  const sparse = sparseWeights(program);
  const stored = new Map(
    program.weights.map(({ name, shape }): [string, StoredMatrix] => {
      const columns = shape.at(-1)!;
      const rows = shape.reduce((product, size) => product * size, 1) / columns;
      const wanted = typeof given === 'string' ? given : given(name);
      const fits = shape.length === 2 && columns % formatLayouts[wanted].block === 0;
      const format = fits ? wanted : 'f16';
      const isPlain = formatLayouts[format].block === 1;
      return [
        name,
        { format, rows, columns, layout: isPlain && sparse.has(name) ? 'columns' : 'rows' },
      ];
    }),
  );
  return (name) => stored.get(name)!;
}

export function plan(program: Program, parts: PlanParts): Plan {
  const { limits, format = 'f16', tensorCores = 'all', segment } = parts;
  const weights = storedAs(program, format);
  const own = { limits, features: { tensorCores }, weights };
  return planProgram(program, segment ? { ...own, segment } : own);
}

export function addressesFor(program: Program, weights: WeightOf): Addresses {
  const names = program.weights.map(({ name }) => name);
  return {
    ...base,
    state: (name) =>
      0x30_0000 + stateStride * program.states.findIndex((state) => state.name === name),
    matrix: (name) => {
      const stored = weights(name);
      const address = 0x4000_0000 + matrixStride * names.indexOf(name);
      return { ...stored, address, place: placeMatrix(stored) };
    },
    table: (name) => ({
      format: weights(name).format,
      address: 0x5000_0000 + tableStride * names.indexOf(name),
      rowBytes: 2 * weights(name).columns,
    }),
  };
}

/** The launches of a program's step of that size. */
export function launches(
  program: Program,
  parts: PlanParts & { readonly bucket: Bucket; readonly candidates?: boolean },
): KernelLaunch[] {
  const { bucket, candidates = false, format = 'f16' } = parts;
  const addresses = addressesFor(program, storedAs(program, format));
  return launchesFor(plan(program, parts), bucket, { candidates, addresses });
}

export function argumentsOf({ values, jobs = [] }: Launch): Argument[] {
  return [values, ...jobs].flatMap((each) => Object.values(each));
}

/** Every buffer that a launch is given. */
export function buffersOf(launch: Launch): Buffer[] {
  return argumentsOf(launch).flatMap((argument): Buffer[] => {
    if (typeof argument !== 'object') return [];
    if ('view' in argument) return [argument.view.buffer];
    if ('prepared' in argument) return [argument.prepared];
    return 'scratch' in argument ? [argument.scratch] : [];
  });
}

/** Of the largest number of sequences, which no buffer depends on. */
export function everyBucket({ tokens, wanted, sequences }: Limits): Bucket[] {
  return tokenSizes(tokens).flatMap((t) =>
    [0, ...rowSizes(wanted)].map((r) => ({ tokens: t, wanted: r, sequences })),
  );
}

/** Plays a step on the arena: a write spoils every other buffer that it touches, and what is read must be whole. */
export function playOnArena({ nodes, arena, limits: own, exports }: Plan, bucket: Bucket): void {
  const whole = new Map<Buffer, readonly [begin: number, end: number]>();
  const check = (buffer: Buffer, name: string) => {
    if (!whole.has(buffer)) expect.fail(`${name}: its ${buffer.kind} are another's, or nobody's`);
  };
  const write = (buffer: Buffer) => {
    const begin = arena.offsets.get(buffer)!;
    const end = begin + sizeOf(buffer, own).bytes;
    if (begin % 256 !== 0 || end > arena.size) expect.fail(`${begin} to ${end} is misplaced`);
    for (const [other, [from, to]] of whole) if (from < end && begin < to) whole.delete(other);
    whole.set(buffer, [begin, end]);
  };
  for (const node of nodes) {
    // What comes from another device.
    if (node.name === 'arrive') for (const buffer of node.writes) write(buffer);
    for (const launch of node.launches(bucket)) {
      const touched = buffersOf(launch);
      const writes = touched.filter((buffer) => node.writes.includes(buffer));
      const reads = touched.filter((buffer) => !writes.includes(buffer));
      for (const read of reads) {
        if (!node.reads.includes(read)) expect.fail(`${node.name} does not say what it reads`);
        check(read, node.name);
      }
      for (const buffer of writes) write(buffer);
      for (const buffer of touched) check(buffer, node.name);
    }
  }
  for (const buffer of arena.offsets.keys()) {
    if (buffer.kind === 'rows' && buffer.answer) check(buffer, 'the answer');
  }
  for (const { offset, rows, width } of exports) {
    const sent = [...whole.keys()].filter(
      (buffer) => buffer.kind === 'rows' && buffer.rows === rows && buffer.width === width,
    );
    expect(sent.map((buffer) => arena.offsets.get(buffer))).toContain(offset);
  }
}
