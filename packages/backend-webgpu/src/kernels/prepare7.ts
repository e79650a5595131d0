import { prepare7SelfTest } from './prepare7.self-test.js';
import { workgroupSum } from './reduce.js';
import { createShader, entryArguments, rowOfGroup, type Shader } from './shader.js';

/**
 * RWKV-7's preparation of the wkv inputs (arXiv:2503.14456, section 4.1): κ_h = (k ⊙ removal)_h / max(‖(k ⊙ removal)_h‖,
 * floor); a = -κ; b = κ ⊙ rate; key = k (1 + (rate - 1) ⊙ replacement); with a residual, value = v + (first - v) ⊙ amount.
 * All [_, C]; removal, replacement [C]. A group of 64 owns one head of one row: group.x is the head.
 */
export function prepare7Shader({ hasResidual }: { readonly hasResidual: boolean }): Shader {
  const load = (name: string) => `arena[node.${name} + row * node.${name}_stride + c]`;
  const outs = ['key', 'a', 'b', ...(hasResidual ? ['value'] : [])];
  return createShader({
    test: () => prepare7SelfTest({ hasResidual }),
    label: `prepare7${hasResidual ? ', residual' : ''}`,
    element: 'f32',
    fields: {
      rows: 'u32',
      width: 'u32',
      size: 'u32',
      floor: 'f32',
      k: 'view',
      rate: 'view',
      key: 'view',
      a: 'view',
      b: 'view',
      removal: 'parameter',
      replacement: 'parameter',
      ...(hasResidual ? { v: 'view', first: 'view', amount: 'view', value: 'view' } : {}),
    },
    body: `${workgroupSum(64)}
@compute @workgroup_size(64)
fn main(${entryArguments}) {
  let row = ${rowOfGroup};
  if (row >= header[node.rows]) { return; }
  let begin = group.x * node.size;
  let end = begin + node.size;
  var squares = 0.0;
  for (var c = begin + lane; c < end; c += 64u) {
    let removed = ${load('k')} * parameters[node.removal + c];
    squares += removed * removed;
  }
  let length = max(sqrt(workgroup_sum(lane, squares)), node.floor);
  for (var c = begin + lane; c < end; c += 64u) {
    let k = ${load('k')};
    let rate = ${load('rate')};
    let direction = k * parameters[node.removal + c] / length;
    ${load('a')} = -direction;
    ${load('b')} = direction * rate;
    ${load('key')} = k * (1.0 + (rate - 1.0) * parameters[node.replacement + c]);
    ${hasResidual ? `let v = ${load('v')}; ${load('value')} = v + (${load('first')} - v) * ${load('amount')};` : ''}
  }
  if (end == node.width) {
    for (var c = end + lane; c < node.key_stride; c += 64u) {
      ${outs.map((name) => `${load(name)} = 0.0;`).join(' ')}
    }
  }
}`,
  });
}
