/**
 * linear for many rows of x: 64 of them against 64 rows of W, through shared memory, 32 columns at a time; an invocation
 * owns 4 by 4 results. Slot k · 16 + q of a tile: numbers k of the four rows of quad q.
 */
import {
  findJob,
  groupCount,
  linearShaderParts,
  type LinearShaderOptions,
  tileSize,
} from './linear.js';
import { linearSelfTest } from './linear.self-test.js';
import { createShader, entryArguments, type Shader } from './shader.js';

export function linearTileShader(options: LinearShaderOptions): Shader {
  const { format, layout = 'rows' } = options;
  const { parts, functions, directives, suffix } = linearShaderParts(options);
  return createShader({
    ...parts,
    directives: directives.join('\n'),
    test: () =>
      linearSelfTest(format, {
        tokens: tileSize + 3,
        layout,
        groupsOf: (quads) => [2, groupCount(quads, tileSize / 4), 1],
      }),
    label: `linear ${format}, tile${suffix}`,
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
    ${layout === 'rows' ? loadRows : loadColumns}
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

/** 64 lanes take the four rows of a quad each. */
const loadRows = `} else if (lane < 192u) {
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
    }`;

/** 128 lanes take two times eight rows of a column each; rows beyond the panels do not matter, nor columns, where x is 0. */
const loadColumns = `} else {
      let last = ((node.jobs[place.job].count + 31u) >> 5u) * 4u - 1u;
      for (var i = 0u; i < 2u; i++) {
        let own = lane - 128u + 128u * i;
        let k = own >> 3u;
        let eight_rows = own & 7u;
        let w = column8(m, min(place.index * 8u + eight_rows, last), min(8u * g + k, 8u * m.granules - 1u));
        tile_w[k * 16u + 2u * eight_rows] = w.a;
        tile_w[k * 16u + 2u * eight_rows + 1u] = w.b;
      }
    }`;
