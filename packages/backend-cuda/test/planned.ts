/** Programs planned without a device, and what their launches touch. */
import type { Limits, Program, WeightFormat } from '@rwkv-ts/backend';
import { sparseWeights } from '@rwkv-ts/program';
import type { Bucket } from '../src/buckets.js';
import type { MatrixFeatures } from '../src/kernels/linear.js';
import { formatLayouts, placeMatrix, type StoredMatrix } from '../src/weights/layout.js';
import type { KernelLaunch } from '../src/encode/arguments.js';
import type { Argument, Buffer, Launch, WeightOf } from '../src/encode/graph.js';
import { launchesFor, type Plan, planProgram } from '../src/encode/plan.js';
import type { Addresses } from '../src/encode/resolve.js';

/** Where the device is said to have everything. */
export const base = { arena: 0x7f00_0000_0000, parameters: 0x10_0000, counters: 0x20_0000 };
const [stateStride, matrixStride, tableStride] = [0x1000, 0x10_0000, 0x100];

export interface PlanParts {
  readonly limits: Limits;
  /** Of matrices whose rows it divides, other weights are f16. */
  readonly format?: WeightFormat | ((name: string) => WeightFormat);
  readonly tensorCores?: MatrixFeatures['tensorCores'];
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
  const { limits, format = 'f16', tensorCores = 'all' } = parts;
  const weights = storedAs(program, format);
  return planProgram(program, { limits, features: { tensorCores }, weights });
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
