/**
 * out = residual + gate ⊙ activation(bias + x Wᵀ), each part but the product optional; x [_, I], W [O, I], bias [O], the
 * rest [_, O]. One dispatch does up to seven such products (**jobs**) with matrices of one format and page: group.y runs over
 * the quads of rows of the first matrix, then of the second, and so on; group.x, so that groups which read the same rows
 * of a matrix run together, over rows of x, and group.z where those are more than a dimension holds.
 *
 * linear-vector.ts is for few rows of x, linear-tile.ts for many, linear-tile-integers.ts for many that quantise.ts has
 * rounded to integers. This is what they share.
 *
 * Sums are f32, in an order that depends on nothing but the kernel and I.
 * Limits: 65,535 groups along x; 16 KiB of shared memory.
 */
import type { WeightFormat } from '@rwkv-ts/backend';
import type { MatrixLayout } from '../weights/layout.js';
import { mathFunctions } from './math.js';
import type { FieldLayout } from './shader.js';
import { type Halves, matrixFields, matrixLoader, matrixStorage } from './weight-formats.js';
import { integerLoader } from './weight-integers.js';

/** Products in one dispatch: what the words of a node hold. */
export const mostJobs = 7;

/** Of `optional`: gate 1, residual 2, bias 4. */
export const linearParts = { gate: 1, residual: 2, bias: 4 } as const;

/** A multiple of four words, as an array in a uniform needs. `q`: the rows of x as quantise.ts leaves them. */
const jobFields: FieldLayout = {
  x: 'view',
  out: 'view',
  gate: 'view',
  residual: 'view',
  bias: 'parameter',
  count: 'u32',
  codes: 'u32',
  quads: 'u32',
  ...matrixFields,
  q: 'view',
  padding_0: 'u32',
  padding_1: 'u32',
};
const node = `
struct Job {
  x: u32, x_stride: u32, out: u32, out_stride: u32, gate: u32, gate_stride: u32, residual: u32, residual_stride: u32,
  bias: u32, count: u32, codes: u32, quads: u32, base: u32, granules: u32, highs: u32, scales: u32,
  q: u32, q_stride: u32, padding_0: u32, padding_1: u32,
}
struct Node { rows: u32, jobs_count: u32, padding_0: u32, padding_1: u32, jobs: array<Job, ${mostJobs}> }`;

/** Rows of x and of W that a group of the kernels for many rows covers. */
export const tileSize = 64;

/** Writes four results of one row; quads beyond the matrix are the zeros between the width and the stride. */
const finish = `
fn finish(job: u32, row: u32, quad: u32, product: vec4f) {
  let codes = node.jobs[job].codes;
  var value = product;
  if ((codes & ${linearParts.bias}u) != 0u) { value += parameters[node.jobs[job].bias + quad]; }
  value = activate(codes >> 8u, value);
  if ((codes & ${linearParts.gate}u) != 0u) { value *= load4(node.jobs[job].gate + row * node.jobs[job].gate_stride + quad); }
  if ((codes & ${linearParts.residual}u) != 0u) { value += load4(node.jobs[job].residual + row * node.jobs[job].residual_stride + quad); }
  let rows = 4u * quad + vec4u(0u, 1u, 2u, 3u);
  store4(node.jobs[job].out + row * node.jobs[job].out_stride + quad, select(vec4f(0.0), value, rows < vec4u(node.jobs[job].count)));
}
fn matrix_of(job: u32) -> Matrix {
  return Matrix(node.jobs[job].base, node.jobs[job].granules, node.jobs[job].highs, node.jobs[job].scales);
}`;

export const range = (count: number): number[] =>
  Array.from({ length: count }, (_, index) => index);

/** The job of this group, and which of the job's groups it is. */
export const findJob = (unit: number): string => `
fn groups_of(job: u32) -> u32 { return (node.jobs[job].quads + ${unit - 1}u) / ${unit}u; }
struct Place { job: u32, index: u32 }
fn find_job(group: u32) -> Place {
  var place = Place(0u, group);
  while (place.job + 1u < node.jobs_count && place.index >= groups_of(place.job)) {
    place.index -= groups_of(place.job);
    place.job++;
  }
  return place;
}`;

/** Groups for jobs of so many quads, of which a group covers `unit`. */
export const groupCount = (quads: readonly number[], unit: number): number =>
  quads.reduce((sum, each) => sum + Math.ceil(each / unit), 0);

export interface LinearShaderOptions {
  readonly format: WeightFormat;
  readonly halves: Halves;
  /** Multiplies integers: x comes rounded, from quantise.ts. For formats with blocks. */
  readonly integers?: boolean;
  /** How W lies; default in rows. */
  readonly layout?: MatrixLayout;
}

/** Rows with integers in them are read as words, whose bits mean nothing as numbers. */
const access = {
  numbers: `
fn load4(at: u32) -> vec4f { return arena[at]; }
fn store4(at: u32, value: vec4f) { arena[at] = value; }`,
  words: `
fn load4(at: u32) -> vec4f { return bitcast<vec4f>(arena[at]); }
fn store4(at: u32, value: vec4f) { arena[at] = bitcast<vec4u>(value); }`,
};

/** What the kernels have in common, and the end of their labels. */
export function linearShaderParts(options: LinearShaderOptions) {
  const { format, halves, integers = false, layout = 'rows' } = options;
  const jobs = range(mostJobs).flatMap((job) =>
    Object.entries(jobFields).map(([name, kind]) => [`${name}_${job}`, kind] as const),
  );
  const head = { rows: 'u32', jobs_count: 'u32', padding_0: 'u32', padding_1: 'u32' } as const;
  const directives = [
    ...(halves === 'native' ? ['enable f16;'] : []),
    ...(integers ? ['requires packed_4x8_integer_dot_product;'] : []),
  ];
  const loader = integers
    ? integerLoader(format, halves)
    : matrixLoader(format, { halves, layout });
  return {
    parts: {
      element: 'vec4f' as const,
      ...(integers ? { arena: 'vec4u' as const } : {}),
      node,
      fields: { ...head, ...Object.fromEntries(jobs) } as FieldLayout,
      storages: [matrixStorage(format)],
    },
    directives,
    functions: `${mathFunctions}${loader}${integers ? access.words : access.numbers}${finish}`,
    suffix: `${layout === 'rows' ? '' : ', columns'}${integers ? ', integers' : ''}${halfLabels[halves]}`,
  };
}

const halfLabels: { readonly [H in Halves]: string } = {
  native: ', f16',
  unpacked: '',
  exact: ', exact',
};
