import { bonus7SelfTest } from './bonus7.self-test.js';
import { workgroupSum } from './reduce.js';
import { createShader, entryArguments, rowOfGroup, type Shader } from './shader.js';

/**
 * out_h = (Σ_n r_n k_n by_n) v_h, the current token's own contribution (arXiv:2503.14456, section 4.1); r, k, v, out
 * [_, C], by [H, N]. A group of 64 owns one head of one row: group.x is the head.
 */
export const bonus7Shader = (): Shader =>
  createShader({
    test: bonus7SelfTest,
    label: 'bonus7',
    element: 'f32',
    fields: {
      rows: 'u32',
      width: 'u32',
      size: 'u32',
      r: 'view',
      k: 'view',
      v: 'view',
      out: 'view',
      by: 'parameter',
    },
    body: `${workgroupSum(64)}
@compute @workgroup_size(64)
fn main(${entryArguments}) {
  let row = ${rowOfGroup};
  if (row >= header[node.rows]) { return; }
  let begin = group.x * node.size;
  let end = begin + node.size;
  let out = node.out + row * node.out_stride;
  var part = 0.0;
  for (var c = begin + lane; c < end; c += 64u) {
    part += arena[node.r + row * node.r_stride + c] * arena[node.k + row * node.k_stride + c] * parameters[node.by + c];
  }
  let sum = workgroup_sum(lane, part);
  for (var c = begin + lane; c < end; c += 64u) {
    arena[out + c] = sum * arena[node.v + row * node.v_stride + c];
  }
  if (end == node.width) {
    for (var c = end + lane; c < node.out_stride; c += 64u) { arena[out + c] = 0.0; }
  }
}`,
  });
