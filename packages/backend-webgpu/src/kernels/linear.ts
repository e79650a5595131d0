/**
 * out = residual + gate ⊙ activation(bias + x Wᵀ), each part but the product optional; x [_, I], W [O, I], bias [O], the
 * rest [_, O]. One dispatch does up to seven such products (**jobs**) with matrices of one format and page: group.y runs over
 * the quads of rows of the first matrix, then of the second, and so on; group.x, so that groups which read the same rows
 * of a matrix run together, over rows of x, and group.z where those are more than a dimension holds.
 *
 * `vector`: up to four rows of x against everything, for decoding. A team of lanes owns four rows of W: a lane takes every
 * so-many-th granule of them, meets it with the same columns of each row of x, and the lanes' sums are added up: through
 * shared memory (teams of 64), or by the subgroup (a subgroup is a team, whatever its size).
 *
 * `tile`: 64 rows of x against 64 rows of W, through shared memory, 32 columns at a time; an invocation owns 4 by 4
 * results. For prompts and large batches.
 *
 * Sums are f32, in an order that depends on nothing but the kernel and I.
 * Limits: 65,535 groups along x; 16 KiB of shared memory.
 */
import type { WeightFormat } from '@rwkv-ts/backend';
import { mathFunctions } from './math.js';
import { createShader, entryArguments, type FieldLayout, type Shader } from './shader.js';
import { linearSelfTest } from './linear.self-test.js';
import { matrixFields, matrixLoader, matrixStorage } from './weight-formats.js';

/** Products in one dispatch: what the words of a node hold. */
export const mostJobs = 7;

/** Of `optional`: gate 1, residual 2, bias 4. */
export const linearParts = { gate: 1, residual: 2, bias: 4 } as const;

/** Sixteen words, as an array in a uniform needs. */
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
};
const node = `
struct Job {
  x: u32, x_stride: u32, out: u32, out_stride: u32, gate: u32, gate_stride: u32, residual: u32, residual_stride: u32,
  bias: u32, count: u32, codes: u32, quads: u32, base: u32, granules: u32, highs: u32, scales: u32,
}
struct Node { rows: u32, jobs_count: u32, padding_0: u32, padding_1: u32, jobs: array<Job, ${mostJobs}> }`;

/** Lanes of a group, and quads of rows that a group of `vector` covers. */
export const vectorGroup = { plain: { lanes: 128, quads: 2 }, subgroups: { lanes: 128, quads: 4 } };
export const tileSize = 64;
/** Rows of x that `vector` meets by one reading of the matrix: the forms that are built. */
export const vectorRows = [1, 4];
/** From more rows of x on, `tile` is better: `vector` reads the matrix for every four. */
export const mostVectorRows = 16;

/** Writes four results of one row; quads beyond the matrix are the zeros between the width and the stride. */
const finish = `
fn finish(job: u32, row: u32, quad: u32, product: vec4f) {
  let codes = node.jobs[job].codes;
  var value = product;
  if ((codes & ${linearParts.bias}u) != 0u) { value += parameters[node.jobs[job].bias + quad]; }
  value = activate(codes >> 8u, value);
  if ((codes & ${linearParts.gate}u) != 0u) { value *= arena[node.jobs[job].gate + row * node.jobs[job].gate_stride + quad]; }
  if ((codes & ${linearParts.residual}u) != 0u) { value += arena[node.jobs[job].residual + row * node.jobs[job].residual_stride + quad]; }
  let rows = 4u * quad + vec4u(0u, 1u, 2u, 3u);
  arena[node.jobs[job].out + row * node.jobs[job].out_stride + quad] = select(vec4f(0.0), value, rows < vec4u(node.jobs[job].count));
}
fn matrix_of(job: u32) -> Matrix {
  return Matrix(node.jobs[job].base, node.jobs[job].granules, node.jobs[job].highs, node.jobs[job].scales);
}`;

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** A lane's share of the product of `tokens` rows of x with four rows of the job's matrix. */
const partialSums = (tokens: number): string => `
fn partial(job: u32, quad: u32, first_row: u32, last_row: u32, start: u32, step: u32) -> array<vec4f, ${tokens}> {
  let m = matrix_of(job);
  var sums: array<vec4f, ${tokens}>;
  let most = node.jobs[job].count - 1u;
  let r0 = min(4u * quad, most);
  let r1 = min(4u * quad + 1u, most);
  let r2 = min(4u * quad + 2u, most);
  let r3 = min(4u * quad + 3u, most);
  ${range(tokens)
    .map(
      (t) =>
        `let x${t} = node.jobs[job].x + min(first_row + ${t}u, last_row) * node.jobs[job].x_stride;`,
    )
    .join('\n  ')}
  for (var g = start; g < m.granules; g += step) {
    let w0 = load8(m, r0, g);
    let w1 = load8(m, r1, g);
    let w2 = load8(m, r2, g);
    let w3 = load8(m, r3, g);
    ${range(tokens)
      .map(
        (t) => `{
      let a = arena[x${t} + 2u * g];
      let b = arena[x${t} + 2u * g + 1u];
      sums[${t}] += vec4f(dot(w0.a, a) + dot(w0.b, b), dot(w1.a, a) + dot(w1.b, b),
        dot(w2.a, a) + dot(w2.b, b), dot(w3.a, a) + dot(w3.b, b));
    }`,
      )
      .join('\n    ')}
  }
  return sums;
}`;

/** The job of this group, and which of the job's groups it is. */
const findJob = (unit: number): string => `
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
  /** Takes half precision apart by integers. */
  readonly exact?: boolean;
}

function parts({ format, exact = false }: LinearShaderOptions) {
  const jobs = range(mostJobs).flatMap((job) =>
    Object.entries(jobFields).map(([name, kind]) => [`${name}_${job}`, kind] as const),
  );
  const head = { rows: 'u32', jobs_count: 'u32', padding_0: 'u32', padding_1: 'u32' } as const;
  return {
    element: 'vec4f' as const,
    node,
    fields: { ...head, ...Object.fromEntries(jobs) } as FieldLayout,
    storages: [matrixStorage(format)],
    functions: `${mathFunctions}${matrixLoader(format, { exact })}${finish}`,
  };
}

export interface VectorShaderOptions extends LinearShaderOptions {
  /** Rows of x that are met by one reading of the matrix: 1 to 4. */
  readonly tokens: number;
  readonly subgroups: boolean;
}

export function linearVectorShader(options: VectorShaderOptions): Shader {
  const { format, tokens, subgroups } = options;
  const { functions, ...rest } = parts(options);
  const unit = vectorGroup[subgroups ? 'subgroups' : 'plain'].quads;
  return createShader({
    ...rest,
    test: () =>
      linearSelfTest(format, {
        tokens: tokens + 1,
        groupsOf: (quads) => [2, groupCount(quads, unit), 1],
      }),
    label: `linear ${format}, vector of ${tokens}${subgroups ? ', subgroups' : ''}${options.exact ? ', exact' : ''}`,
    directives: subgroups ? 'enable subgroups;\ndiagnostic(off, subgroup_uniformity);' : '',
    body: `${functions}${findJob(unit)}${partialSums(tokens)}${subgroups ? subgroupMain(tokens) : sharedMain(tokens)}`,
  });
}

function sharedMain(tokens: number): string {
  const { lanes, quads } = vectorGroup.plain;
  const team = lanes / quads;
  return `
var<workgroup> shared_sums: array<vec4f, ${lanes * tokens}>;
@compute @workgroup_size(${lanes})
fn main(${entryArguments}) {
  let rows = header[node.rows];
  let first_row = (group.x + group.z * groups.x) * ${tokens}u;
  if (first_row >= rows) { return; }
  let place = find_job(group.y);
  let own = lane & ${team - 1}u;
  let quad = place.index * ${quads}u + lane / ${team}u;
  var sums = partial(place.job, quad, first_row, rows - 1u, own, ${team}u);
  ${range(tokens)
    .map((t) => `shared_sums[${t * lanes}u + lane] = sums[${t}];`)
    .join('\n  ')}
  workgroupBarrier();
  let result = lane >> 3u;
  var total: vec4f;
  if (result < ${quads * tokens}u) {
    let start = result / ${quads}u * ${lanes}u + result % ${quads}u * ${team}u + (lane & 7u) * ${team / 8}u;
    for (var i = 0u; i < ${team / 8}u; i++) { total += shared_sums[start + i]; }
  }
  workgroupBarrier();
  shared_sums[lane] = total;
  workgroupBarrier();
  if (lane >= ${quads * tokens}u) { return; }
  total = shared_sums[8u * lane];
  for (var i = 1u; i < 8u; i++) { total += shared_sums[8u * lane + i]; }
  let row = first_row + lane / ${quads}u;
  let own_quad = place.index * ${quads}u + lane % ${quads}u;
  if (row < rows && own_quad < node.jobs[place.job].quads) { finish(place.job, row, own_quad, total); }
}`;
}

/** The lane of a token's number finishes its row, so that one call of `finish` does for all of them. */
function subgroupMain(tokens: number): string {
  const { lanes, quads } = vectorGroup.subgroups;
  return `
@compute @workgroup_size(${lanes})
fn main(${entryArguments},
  @builtin(subgroup_id) team: u32,
  @builtin(num_subgroups) teams: u32,
  @builtin(subgroup_invocation_id) own: u32,
  @builtin(subgroup_size) team_size: u32) {
  let rows = header[node.rows];
  let first_row = (group.x + group.z * groups.x) * ${tokens}u;
  if (first_row >= rows) { return; }
  let place = find_job(group.y);
  for (var q = team; q < ${quads}u; q += teams) {
    let quad = place.index * ${quads}u + q;
    if (quad >= node.jobs[place.job].quads) { break; }
    var sums = partial(place.job, quad, first_row, rows - 1u, own, team_size);
    ${range(tokens)
      .map((t) => `sums[${t}] = subgroupAdd(sums[${t}]);`)
      .join('\n    ')}
    for (var t = own; t < min(${tokens}u, rows - first_row); t += team_size) {
      finish(place.job, first_row + t, quad, sums[t]);
    }
  }
}`;
}

/** Slot k · 16 + q of a tile: numbers k of the four rows of quad q. */
export function linearTileShader(options: LinearShaderOptions): Shader {
  const { format } = options;
  const { functions, ...rest } = parts(options);
  return createShader({
    ...rest,
    test: () =>
      linearSelfTest(format, {
        tokens: tileSize + 3,
        groupsOf: (quads) => [2, groupCount(quads, tileSize / 4), 1],
      }),
    label: `linear ${format}, tile`,
    body: `${functions}${findJob(tileSize / 4)}
var<workgroup> tile_x: array<vec4f, 512>;
var<workgroup> tile_w: array<vec4f, 512>;
@compute @workgroup_size(256)
fn main(${entryArguments}) {
  let rows = header[node.rows];
  let first_row = (group.x + group.z * groups.x) * ${tileSize}u;
  if (first_row >= rows) { return; }
  let place = find_job(group.y);
  let m = matrix_of(place.job);
  let column_quad = lane & 15u;
  let own_quad = place.index * 16u + column_quad;
  let own_rows = min(vec4u(4u * own_quad) + vec4u(0u, 1u, 2u, 3u), vec4u(node.jobs[place.job].count - 1u));
  let own_tokens = min(vec4u(first_row + 4u * column_quad) + vec4u(0u, 1u, 2u, 3u), vec4u(rows - 1u));
  let own_x = node.jobs[place.job].x + own_tokens * node.jobs[place.job].x_stride;
  var sums: array<vec4f, 4>;
  for (var g = 0u; g < m.granules; g += 4u) {
    if (lane < 128u) {
      let k4 = lane >> 4u;
      let at = 2u * g + k4;
      var x: mat4x4f;
      if (at < 2u * m.granules) {
        x = transpose(mat4x4f(arena[own_x.x + at], arena[own_x.y + at], arena[own_x.z + at], arena[own_x.w + at]));
      } else { x = mat4x4f(); }
      for (var k = 0u; k < 4u; k++) { tile_x[k4 * 64u + 16u * k + column_quad] = x[k]; }
    } else if (lane < 192u) {
      let part = (lane - 128u) >> 4u;
      // Beyond the last granule x is 0, so it does not matter which one stands in.
      let granule = min(g + part, m.granules - 1u);
      var w: array<Eight, 4>;
      for (var i = 0u; i < 4u; i++) {
        w[i] = load8(m, own_rows[i], granule);
      }
      for (var k = 0u; k < 4u; k++) {
        let slot = part * 128u + 16u * k + column_quad;
        tile_w[slot] = vec4f(w[0].a[k], w[1].a[k], w[2].a[k], w[3].a[k]);
        tile_w[slot + 64u] = vec4f(w[0].b[k], w[1].b[k], w[2].b[k], w[3].b[k]);
      }
    }
    workgroupBarrier();
    for (var k = 0u; k < 32u; k++) {
      let w = tile_w[k * 16u + column_quad];
      let x = tile_x[k * 16u + (lane >> 4u)];
      sums[0] += x.x * w;
      sums[1] += x.y * w;
      sums[2] += x.z * w;
      sums[3] += x.w * w;
    }
    workgroupBarrier();
  }
  if (own_quad < node.jobs[place.job].quads) {
    for (var i = 0u; i < 4u; i++) {
      let row = first_row + 4u * (lane >> 4u) + i;
      if (row < rows) { finish(place.job, row, own_quad, sums[i]); }
    }
  }
}`,
  });
}
