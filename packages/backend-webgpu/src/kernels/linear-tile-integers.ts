/**
 * linear for many rows of x that quantise.ts has rounded: 64 of them against 64 rows of W, through shared memory, two blocks
 * of 32 columns at a time; an invocation owns 4 by 4 results. Slot k · 16 + q of a tile: word k, four numbers, of the four
 * rows of quad q. What has one scale of W (a **stretch**: a block, or half of one) is summed up as an integer:
 *
 *     Σ x w = Σ over stretches of scale_x · (scale_w Σ q_x q_w + offset_w Σ q_x)
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
import { scalesInBlock } from './weight-integers.js';

export function linearTileIntegersShader(options: LinearShaderOptions): Shader {
  const { format } = options;
  const { parts, functions, directives, suffix } = linearShaderParts({
    ...options,
    integers: true,
  });
  const each = scalesInBlock(format);
  const stretches = 2 * each;
  const words = 16 / stretches;
  return createShader({
    ...parts,
    directives: directives.join('\n'),
    test: () =>
      linearSelfTest(format, {
        tokens: tileSize + 3,
        integers: true,
        groupsOf: (quads) => [2, groupCount(quads, tileSize / 4), 1],
      }),
    label: `linear ${format}, tile${suffix}`,
    body: `${functions}${findJob(tileSize / 4)}
var<workgroup> tile_x: array<vec4u, 256>;
var<workgroup> tile_w: array<vec4u, 256>;
/** Of x: the scale, and the scale times the sum of the quants. */
var<workgroup> x_scales: array<vec2f, ${64 * stretches}>;
var<workgroup> w_scales: array<vec4f, ${16 * stretches}>;
var<workgroup> w_offsets: array<vec4f, ${16 * stretches}>;
@compute @workgroup_size(256)
fn main(${entryArguments}) {
  let rows = header[node.rows];
  let first_row = (group.x + group.z * groups.x) * ${tileSize}u;
  if (first_row >= rows) { return; }
  let place = find_job(group.y);
  let m = matrix_of(place.job);
  let blocks = m.granules >> 2u;
  let column_quad = lane & 15u;
  let own_quad = place.index * 16u + column_quad;
  let own_rows = min(vec4u(4u * own_quad) + vec4u(0u, 1u, 2u, 3u), vec4u(node.jobs[place.job].count - 1u));
  let own_tokens = min(vec4u(first_row + 4u * column_quad) + vec4u(0u, 1u, 2u, 3u), vec4u(rows - 1u));
  let own_x = node.jobs[place.job].q + own_tokens * node.jobs[place.job].q_stride;
  let scale_x = node.jobs[place.job].q + min(first_row + (lane & 63u), rows - 1u) * node.jobs[place.job].q_stride + 2u * blocks;
  var sums: array<vec4f, 4>;
  for (var b = 0u; b < blocks; b += 2u) {
    if (lane < 64u) {
      let four = lane >> 4u;
      var x = array<vec4u, 4>();
      if (b + (four >> 1u) < blocks) {
        for (var i = 0u; i < 4u; i++) { x[i] = arena[own_x[i] + 2u * b + four]; }
      }
      for (var k = 0u; k < 4u; k++) {
        tile_x[(4u * four + k) * 16u + column_quad] = vec4u(x[0][k], x[1][k], x[2][k], x[3][k]);
      }
    } else if (lane < 192u) {
      let part = (lane - 64u) >> 4u;
      // Beyond the last block the scale of x is 0, so it does not matter which one stands in.
      let granule = min(4u * b + part, m.granules - 1u);
      var w: array<vec2u, 4>;
      for (var i = 0u; i < 4u; i++) { w[i] = quants(m, own_rows[i], granule); }
      tile_w[2u * part * 16u + column_quad] = vec4u(w[0].x, w[1].x, w[2].x, w[3].x);
      tile_w[(2u * part + 1u) * 16u + column_quad] = vec4u(w[0].y, w[1].y, w[2].y, w[3].y);
    } else {
      let own = lane - 192u;
      if (own < ${16 * stretches}u) {
        let granule = min(4u * b + (own >> 4u) * ${8 / stretches}u, m.granules - 1u);
        var w: array<vec2f, 4>;
        for (var i = 0u; i < 4u; i++) { w[i] = scale_of(m, own_rows[i], granule); }
        w_scales[own] = vec4f(w[0].x, w[1].x, w[2].x, w[3].x);
        w_offsets[own] = vec4f(w[0].y, w[1].y, w[2].y, w[3].y);
      }
      for (var e = 0u; e < 2u; e++) {
        let block = min(b + e, blocks - 1u);
        let scale = select(0.0, bitcast<f32>(arena[scale_x + (block >> 2u)][block & 3u]), b + e < blocks);
        let word = arena[scale_x + ((blocks + 3u) >> 2u) + (block >> 2u)][block & 3u];
        let halves = vec2f(vec2i(bitcast<vec2i>(vec2u(word << 16u, word)) >> vec2u(16u)));
        ${
          each === 1
            ? 'x_scales[e * 64u + own] = vec2f(scale, scale * (halves.x + halves.y));'
            : `x_scales[2u * e * 64u + own] = vec2f(scale, scale * halves.x);
        x_scales[(2u * e + 1u) * 64u + own] = vec2f(scale, scale * halves.y);`
        }
      }
    }
    workgroupBarrier();
    for (var s = 0u; s < ${stretches}u; s++) {
      // Written out because drivers were seen that set it to zero in the first round only.
      var products = array<vec4i, 4>();
      for (var k = 0u; k < ${words}u; k++) {
        let w = tile_w[(s * ${words}u + k) * 16u + column_quad];
        let x = tile_x[(s * ${words}u + k) * 16u + (lane >> 4u)];
        for (var i = 0u; i < 4u; i++) {
          products[i] += vec4i(dot4I8Packed(x[i], w.x), dot4I8Packed(x[i], w.y), dot4I8Packed(x[i], w.z), dot4I8Packed(x[i], w.w));
        }
      }
      let scales = w_scales[s * 16u + column_quad];
      let offsets = w_offsets[s * 16u + column_quad];
      for (var i = 0u; i < 4u; i++) {
        let x = x_scales[s * 64u + 4u * (lane >> 4u) + i];
        sums[i] += x.x * (scales * vec4f(products[i])) + x.y * offsets;
      }
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
