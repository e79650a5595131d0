/**
 * linear for a W in columns and few rows of x that are mostly zero, as what relu² leaves: columns that only zeros meet are
 * not read. A group owns the 32 rows of a panel, and 64 teams of four lanes take every 64th column: a lane has eight rows.
 * The teams' sums are added up through shared memory.
 *
 * For one row of x the lanes first list the columns that count, in their order, stretch by stretch, and the teams take
 * every 64th of the list, so that none has less to do than another. With more rows the order of sums would depend on what
 * the others hold, so teams keep their columns, and leave out those that meet zeros alone.
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

/** Quads of rows that a group covers. */
export const columnsGroup = 8;

export interface ColumnsShaderOptions extends Omit<LinearShaderOptions, 'integers' | 'layout'> {
  /** Rows of x that are met by one reading of the matrix. */
  readonly tokens: 1 | 4;
}

export function linearColumnsShader(options: ColumnsShaderOptions): Shader {
  const { format, tokens } = options;
  const { parts, functions, directives, suffix } = linearShaderParts({
    ...options,
    layout: 'columns',
  });
  const type = tokens === 1 ? 'f32' : 'vec4f';
  const each = 4 / tokens;
  const stretch = 256 * each;
  /** Columns on their way at a time. */
  const ahead = tokens === 1 ? 4 : 2;
  const all = range(tokens);
  const of = (t: number) => (tokens === 1 ? '' : `[${t}]`);
  return createShader({
    ...parts,
    directives: directives.join('\n'),
    test: () =>
      linearSelfTest(format, {
        tokens: tokens + 1,
        layout: 'columns',
        groupsOf: (quads) => [2, groupCount(quads, columnsGroup), 1],
      }),
    label: `linear ${format}, sparse vector of ${tokens}${suffix}`,
    body: `${functions}${findJob(columnsGroup)}
${tokens === 1 ? lists : ''}
var<workgroup> list_x: array<${type}, ${stretch}>;
var<workgroup> shared_sums: array<vec4f, 256>;
@compute @workgroup_size(256)
fn main(${entryArguments}) {
  let rows = header[node.rows];
  let first_row = (group.x + group.z * groups.x) * ${tokens}u;
  if (first_row >= rows) { return; }
  let place = find_job(group.y);
  let m = matrix_of(place.job);
  let columns = 8u * m.granules;
  let team = lane >> 2u;
  let row8 = 4u * place.index + (lane & 3u);
  ${all
    .map(
      (t) =>
        `let x${t} = node.jobs[place.job].x + min(first_row + ${t}u, rows - 1u) * node.jobs[place.job].x_stride;`,
    )
    .join('\n  ')}
  var a: array<vec4f, ${tokens}>;
  var b: array<vec4f, ${tokens}>;
  for (var start = 0u; start < columns; start += ${stretch}u) {
    var x = array<${type}, ${each}>();
    for (var e = 0u; e < ${each}u; e++) {
      let column = start + ${each}u * lane + e;
      if (column < columns) {
        x[e] = ${type}(${all.map((t) => `arena[x${t} + (column >> 2u)][column & 3u]`).join(', ')});
      }
    }
    ${tokens === 1 ? listOfOne : listOfAll}
    for (var i = team; i < total; i += ${64 * ahead}u) {
      var w: array<Eight, ${ahead}>;
      var own: array<${type}, ${ahead}>;
      for (var n = 0u; n < ${ahead}u; n++) {
        let index = i + 64u * n;
        w[n] = Eight(vec4f(0.0), vec4f(0.0));
        own[n] = ${type}();
        if (index < total) {
          own[n] = list_x[index];
          ${tokens === 1 ? 'w[n] = column8(m, row8, list[index]);' : 'if (any(own[n] != vec4f())) { w[n] = column8(m, row8, start + index); }'}
        }
      }
      for (var n = 0u; n < ${ahead}u; n++) {
        ${all.map((t) => `a[${t}] += own[n]${of(t)} * w[n].a; b[${t}] += own[n]${of(t)} * w[n].b;`).join('\n        ')}
      }
    }
  }
  for (var n = 0u; n < ${2 * tokens}u; n++) {
    let t = n >> 1u;
    workgroupBarrier();
    shared_sums[lane] = select(a[t], b[t], (n & 1u) != 0u);
    workgroupBarrier();
    var sum = vec4f(0.0);
    if (lane < 32u) {
      for (var i = 0u; i < 8u; i++) { sum += shared_sums[32u * (lane >> 2u) + 4u * i + (lane & 3u)]; }
    }
    workgroupBarrier();
    shared_sums[lane] = sum;
    workgroupBarrier();
    let quad = ${columnsGroup}u * place.index + 2u * lane + (n & 1u);
    if (lane < 4u && first_row + t < rows && quad < node.jobs[place.job].quads) {
      sum = shared_sums[lane];
      for (var i = 1u; i < 8u; i++) { sum += shared_sums[4u * i + lane]; }
      finish(place.job, first_row + t, quad, sum);
    }
  }
}`,
  });
}

const lists = `var<workgroup> counts: array<u32, 256>;
var<workgroup> counts_of_lanes: array<u32, 16>;
var<workgroup> list: array<u32, 1024>;`;

/** Each lane knows how many columns the lanes before it have. */
const listOfOne = `var count = 0u;
    for (var e = 0u; e < 4u; e++) { count += select(0u, 1u, x[e] != 0.0); }
    counts[lane] = count;
    workgroupBarrier();
    if (lane < 16u) {
      var part = 0u;
      for (var i = 0u; i < 16u; i++) { part += counts[16u * lane + i]; }
      counts_of_lanes[lane] = part;
    }
    workgroupBarrier();
    var at = 0u;
    var total = 0u;
    for (var i = 0u; i < 16u; i++) {
      total += counts_of_lanes[i];
      if (i < (lane >> 4u)) { at += counts_of_lanes[i]; }
    }
    for (var i = lane & 240u; i < lane; i++) { at += counts[i]; }
    for (var e = 0u; e < 4u; e++) {
      if (x[e] != 0.0) {
        list[at] = start + 4u * lane + e;
        list_x[at] = x[e];
        at++;
      }
    }
    workgroupBarrier();`;

const listOfAll = `workgroupBarrier();
    list_x[lane] = x[0];
    let total = min(256u, columns - start);
    workgroupBarrier();`;
