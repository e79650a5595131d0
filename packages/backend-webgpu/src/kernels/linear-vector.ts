/**
 * linear for few rows of x, as in decoding: up to four of them against everything. A team of lanes owns four rows of W: a
 * lane takes every so-many-th granule of them, meets it with the same columns of each row of x, and the lanes' sums are
 * added up: through shared memory (teams of 64), or by the subgroup (a subgroup is a team, whatever its size).
 */
import {
  findJob,
  groupCount,
  linearShaderParts,
  type LinearShaderOptions,
  range,
} from './linear.js';
import { linearSelfTest } from './linear.self-test.js';
import { createShader, entryArguments, type Shader } from './shader.js';

/** Lanes of a group, and quads of rows that a group covers. */
export const vectorGroup = { plain: { lanes: 128, quads: 2 }, subgroups: { lanes: 128, quads: 4 } };
/** Rows of x that are met by one reading of the matrix: the forms that are built. */
export const vectorRows = [1, 4] as const;
/** From more rows of x on, tiles are better: these kernels read the matrix for every four. */
export const mostVectorRows = 16;

/** Of four rows of W, as vectors over them. */
const meetNumbers = {
  load: `
    let w0 = load8(m, r0, g);
    let w1 = load8(m, r1, g);
    let w2 = load8(m, r2, g);
    let w3 = load8(m, r3, g);`,
  x: 'x',
  meet: (t: number) => `{
      let a = arena[x${t} + 2u * g];
      let b = arena[x${t} + 2u * g + 1u];
      sums[${t}] += vec4f(dot(w0.a, a) + dot(w0.b, b), dot(w1.a, a) + dot(w1.b, b),
        dot(w2.a, a) + dot(w2.b, b), dot(w3.a, a) + dot(w3.b, b));
    }`,
};

/** Eight products make two integers, which are scaled by the block of x and that of W. */
const meetIntegers = {
  load: `
    let q0 = quants(m, r0, g);
    let q1 = quants(m, r1, g);
    let q2 = quants(m, r2, g);
    let q3 = quants(m, r3, g);
    let s0 = scale_of(m, r0, g);
    let s1 = scale_of(m, r1, g);
    let s2 = scale_of(m, r2, g);
    let s3 = scale_of(m, r3, g);
    let scales = vec4f(s0.x, s1.x, s2.x, s3.x);
    let offsets = vec4f(s0.y, s1.y, s2.y, s3.y);
    let block = g >> 2u;
    let block_scales = (m.granules >> 1u) + (block >> 2u);`,
  x: 'q',
  meet: (t: number) => `{
      let pair = arena[x${t} + (g >> 1u)];
      let q = select(pair.xy, pair.zw, (g & 1u) != 0u);
      let total = f32(dot4I8Packed(0x01010101u, q.x) + dot4I8Packed(0x01010101u, q.y));
      let products = vec4f(vec4i(
        dot4I8Packed(q0.x, q.x) + dot4I8Packed(q0.y, q.y), dot4I8Packed(q1.x, q.x) + dot4I8Packed(q1.y, q.y),
        dot4I8Packed(q2.x, q.x) + dot4I8Packed(q2.y, q.y), dot4I8Packed(q3.x, q.x) + dot4I8Packed(q3.y, q.y)));
      sums[${t}] += bitcast<f32>(arena[x${t} + block_scales][block & 3u]) * (scales * products + offsets * total);
    }`,
};

/** A lane's share of the product of `tokens` rows of x with four rows of the job's matrix. */
const partialSums = (tokens: number, { load, x, meet }: typeof meetNumbers): string => `
fn partial(job: u32, quad: u32, first_row: u32, last_row: u32, start: u32, step: u32) -> array<vec4f, ${tokens}> {
  let m = matrix_of(job);
  var sums = array<vec4f, ${tokens}>();
  let most = node.jobs[job].count - 1u;
  let r0 = min(4u * quad, most);
  let r1 = min(4u * quad + 1u, most);
  let r2 = min(4u * quad + 2u, most);
  let r3 = min(4u * quad + 3u, most);
  ${range(tokens)
    .map(
      (t) =>
        `let x${t} = node.jobs[job].${x} + min(first_row + ${t}u, last_row) * node.jobs[job].${x}_stride;`,
    )
    .join('\n  ')}
  for (var g = start; g < m.granules; g += step) {${load}
    ${range(tokens).map(meet).join('\n    ')}
  }
  return sums;
}`;

export interface VectorShaderOptions extends LinearShaderOptions {
  /** Rows of x that are met by one reading of the matrix: 1 to 4. */
  readonly tokens: number;
  readonly subgroups: boolean;
}

export function linearVectorShader(options: VectorShaderOptions): Shader {
  const { format, tokens, subgroups, integers = false, layout = 'rows' } = options;
  const { parts, functions, directives, suffix } = linearShaderParts(options);
  const unit = vectorGroup[subgroups ? 'subgroups' : 'plain'].quads;
  if (subgroups) directives.push('enable subgroups;', 'diagnostic(off, subgroup_uniformity);');
  return createShader({
    ...parts,
    directives: directives.join('\n'),
    test: () =>
      linearSelfTest(format, {
        tokens: tokens + 1,
        integers,
        layout,
        groupsOf: (quads) => [2, groupCount(quads, unit), 1],
      }),
    label: `linear ${format}, vector of ${tokens}${subgroups ? ', subgroups' : ''}${suffix}`,
    body: `${functions}${findJob(unit)}${partialSums(tokens, integers ? meetIntegers : meetNumbers)}${
      subgroups ? subgroupMain(tokens) : sharedMain(tokens)
    }`,
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
