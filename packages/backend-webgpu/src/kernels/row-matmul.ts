import { createShader, entryArguments, rowOfGroup, type Shader } from './shader.js';
import { rowMatmulSelfTest } from './row-matmul.self-test.js';

/**
 * out[t, b] = Σ_a x[t, a] m[t, a·B + b]; x [T, A], m [T, A·B], out [T, B]. An invocation owns one number of out.
 * Limits: B up to 4,194,240.
 */
export const rowMatmulShader = (): Shader =>
  createShader({
    test: rowMatmulSelfTest,
    label: 'row-matmul',
    element: 'f32',
    fields: { rows: 'u32', width: 'u32', inner: 'u32', x: 'view', m: 'view', out: 'view' },
    body: `
@compute @workgroup_size(64)
fn main(${entryArguments}) {
  let row = ${rowOfGroup};
  let column = group.x * 64u + lane;
  if (row >= header[node.rows] || column >= node.out_stride) { return; }
  let x = node.x + row * node.x_stride;
  let m = node.m + row * node.m_stride + min(column, node.width - 1u);
  var sum = 0.0;
  for (var a = 0u; a < node.inner; a++) { sum += arena[x + a] * arena[m + a * node.width]; }
  arena[node.out + row * node.out_stride + column] = select(0.0, sum, column < node.width);
}`,
  });
