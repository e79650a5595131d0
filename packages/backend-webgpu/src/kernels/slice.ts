import { createShader, entryArguments, rowOfGroup, type Shader } from './shader.js';
import { sliceSelfTest } from './slice.self-test.js';

/**
 * out = x[:, start : start + W], for slices that no view of x can stand for: an invocation owns one number of a row.
 * Limits: rows of 16,776,960 numbers.
 */
export const sliceShader = (): Shader =>
  createShader({
    test: sliceSelfTest,
    label: 'slice',
    element: 'f32',
    fields: { rows: 'u32', width: 'u32', start: 'u32', x: 'view', out: 'view' },
    body: `
@compute @workgroup_size(256)
fn main(${entryArguments}) {
  let row = ${rowOfGroup};
  let column = group.x * 256u + lane;
  if (row >= header[node.rows] || column >= node.out_stride) { return; }
  let source = node.x + row * node.x_stride + node.start + min(column, node.width - 1u);
  arena[node.out + row * node.out_stride + column] =
    select(0.0, arena[source], column < node.width);
}`,
  });
