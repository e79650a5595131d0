/**
 * Rounds rows of x to integers, for products of integers: of each block of 32 numbers, scale = max|x| / 127 and
 * q = round(x / scale). x [_, I], I a multiple of 32. A row of the result, in words: I / 4 of quants, four bytes each; the
 * scales, one per block, in f32; of each block the sums of its first and of its last 16 quants, in 16 bits each; both
 * lists filled up to multiples of four words. A block with infinity or NaN in it has the scale NaN.
 *
 * One dispatch does up to seven such x (**jobs**): group.x runs over the blocks of the first one, 64 a group, then over
 * those of the second, and so on; an invocation owns a block.
 */
import { mostJobs, range } from './linear.js';
import { quantiseSelfTest } from './quantise.self-test.js';
import {
  createShader,
  entryArguments,
  type FieldLayout,
  rowOfGroup,
  type Shader,
} from './shader.js';

const blockSize = 32;
/** Blocks that a group covers. */
export const quantiseGroup = 64;

/** Words of a quantised row, in their order. */
export function quantisedRow(width: number) {
  const blocks = width / blockSize;
  const scalesAt = width / 4;
  const sumsAt = scalesAt + 4 * Math.ceil(blocks / 4);
  return { blocks, scalesAt, sumsAt, words: sumsAt + 4 * Math.ceil(blocks / 4) };
}

const jobFields: FieldLayout = {
  x: 'view',
  q: 'view',
  blocks: 'u32',
  padding_0: 'u32',
  padding_1: 'u32',
  padding_2: 'u32',
};

export const quantiseShader = (): Shader =>
  createShader({
    test: quantiseSelfTest,
    label: 'quantise',
    element: 'f32',
    arena: 'u32',
    fields: {
      rows: 'u32',
      /** Groups of a job. */
      groups: 'u32',
      padding_0: 'u32',
      padding_1: 'u32',
      ...Object.fromEntries(
        range(mostJobs).flatMap((job) =>
          Object.entries(jobFields).map(([name, kind]) => [`${name}_${job}`, kind] as const),
        ),
      ),
    },
    node: `
struct Job { x: u32, x_stride: u32, q: u32, q_stride: u32, blocks: u32, padding_0: u32, padding_1: u32, padding_2: u32 }
struct Node { rows: u32, groups: u32, padding_0: u32, padding_1: u32, jobs: array<Job, ${mostJobs}> }`,
    directives: 'requires packed_4x8_integer_dot_product;',
    body: `
@compute @workgroup_size(${quantiseGroup})
fn main(${entryArguments}) {
  let row = ${rowOfGroup};
  let job = group.x / node.groups;
  let block = (group.x % node.groups) * ${quantiseGroup}u + lane;
  let blocks = node.jobs[job].blocks;
  if (row >= header[node.rows] || block >= blocks) { return; }
  let x = node.jobs[job].x + row * node.jobs[job].x_stride + 32u * block;
  let q = node.jobs[job].q + row * node.jobs[job].q_stride;
  var most = 0u;
  for (var i = 0u; i < 32u; i++) { most = max(most, arena[x + i] & 0x7fffffffu); }
  let is_finite = most < 0x7f800000u;
  let largest = bitcast<f32>(select(0u, most, is_finite));
  let has_scale = largest > 1e-30;
  let inverse = select(0.0, 127.0 / max(largest, 1e-30), has_scale);
  var sums = vec2i(0);
  for (var i = 0u; i < 8u; i++) {
    let at = x + 4u * i;
    let numbers = bitcast<vec4f>(vec4u(arena[at], arena[at + 1u], arena[at + 2u], arena[at + 3u]));
    var four = vec4i(0);
    if (has_scale) { four = clamp(vec4i(round(numbers * inverse)), vec4i(-127), vec4i(127)); }
    arena[q + 8u * block + i] = pack4xI8(four);
    sums[i >> 2u] += four.x + four.y + four.z + four.w;
  }
  let scale = select(0.0, largest / 127.0, has_scale);
  arena[q + 8u * blocks + block] = select(0x7fc00000u, bitcast<u32>(scale), is_finite);
  arena[q + 8u * blocks + 4u * ((blocks + 3u) >> 2u) + block] = bitcast<u32>((sums.x & 0xffff) | (sums.y << 16u));
}`,
  });
