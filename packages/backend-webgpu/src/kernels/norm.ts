import { normSelfTest } from './norm.self-test.js';
import { workgroupSum } from './reduce.js';
import { createShader, entryArguments, rowOfGroup, type Shader } from './shader.js';

const size = 256;

/** A group of invocations owns one part of one row: group.x is the part. Parts may begin at any column. */
const groupwise = (
  label: 'norm' | 'l2-norm',
  body: string,
  fields: Record<string, 'f32' | 'parameter'>,
) =>
  createShader({
    test: () => normSelfTest(label),
    label,
    element: 'f32',
    fields: { rows: 'u32', width: 'u32', part: 'u32', x: 'view', out: 'view', ...fields },
    body: `${workgroupSum(size)}
@compute @workgroup_size(${size})
fn main(${entryArguments}) {
  let row = ${rowOfGroup};
  if (row >= header[node.rows]) { return; }
  let begin = group.x * node.part;
  let end = begin + node.part;
  let x = node.x + row * node.x_stride;
  let out = node.out + row * node.out_stride;
  ${body}
  if (end == node.width) {
    for (var c = end + lane; c < node.out_stride; c += ${size}u) { arena[out + c] = 0.0; }
  }
}`,
  });

/**
 * out = (x - mean) / sqrt(variance + eps) ⊙ weight + bias over each of `groups` equal parts of a row; x, out [_, C],
 * weight, bias [C]. The variance comes from the differences to the mean, which unlike E[x²] - mean² does not cancel.
 */
export const normShader = (): Shader =>
  groupwise(
    'norm',
    `var sum = 0.0;
  for (var c = begin + lane; c < end; c += ${size}u) { sum += arena[x + c]; }
  let mean = workgroup_sum(lane, sum) / f32(node.part);
  var squares = 0.0;
  for (var c = begin + lane; c < end; c += ${size}u) {
    let d = arena[x + c] - mean;
    squares += d * d;
  }
  let scale = 1.0 / sqrt(workgroup_sum(lane, squares) / f32(node.part) + node.eps);
  for (var c = begin + lane; c < end; c += ${size}u) {
    arena[out + c] = (arena[x + c] - mean) * scale * parameters[node.weight + c] + parameters[node.bias + c];
  }`,
    { eps: 'f32', weight: 'parameter', bias: 'parameter' },
  );

/** out = x / max(‖x‖₂, eps) over each of `groups` equal parts of a row; x, out [_, C]. */
export const l2NormShader = (): Shader =>
  groupwise(
    'l2-norm',
    `var squares = 0.0;
  for (var c = begin + lane; c < end; c += ${size}u) { squares += arena[x + c] * arena[x + c]; }
  let length = max(sqrt(workgroup_sum(lane, squares)), node.eps);
  for (var c = begin + lane; c < end; c += ${size}u) { arena[out + c] = arena[x + c] / length; }`,
    { eps: 'f32' },
  );
