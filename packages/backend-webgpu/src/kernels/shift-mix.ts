/**
 * x̂ = norm(x), or x itself; x' = x̂ one token earlier, at the first token of a sequence the state [C]; for each mix
 * out_i = x̂ + (x' - x̂) ⊙ by_i (toward the previous token) or x' + (x̂ - x') ⊙ by_i (the current one). `normed`, `shifted`
 * and `difference` receive x̂, x' and x' - x̂ where wanted. x and all outs [T, C].
 *
 * A group of 256 owns one token. That of a sequence's first token also puts the sequence's last x̂ into the state, after
 * it has read what was there: so no other group's reading can come too late, and no second dispatch is needed.
 * Limits: 20 mixes, the words of a node.
 */
import { firstTokenBit } from '@rwkv-ts/program';
import { workgroupSum } from './reduce.js';
import {
  createShader,
  entryArguments,
  type FieldLayout,
  rowOfGroup,
  type Shader,
} from './shader.js';
import { shiftMixSelfTest } from './shift-mix.self-test.js';

const size = 256;

export interface ShiftMixShape {
  readonly hasNorm: boolean;
  readonly toward: 'previous' | 'current';
  readonly mixes: number;
  readonly extras: readonly ('normed' | 'shifted' | 'difference')[];
}

/** A node's words hold no more. */
export const mostMixes = 20;

const extraValues = { normed: 'now', shifted: 'before', difference: 'before - now' } as const;

export function shiftMixShader(shape: ShiftMixShape): Shader {
  const { hasNorm, toward, mixes, extras } = shape;
  const indices = Array.from({ length: mixes }, (_, index) => index);
  const fields: FieldLayout = {
    width: 'u32',
    x: 'view',
    ...(hasNorm ? { eps: 'f32', weight: 'parameter', bias: 'parameter' } : {}),
    ...Object.fromEntries(extras.map((name) => [name, 'view'] as const)),
    ...Object.fromEntries(indices.map((index) => [`by_${index}`, 'parameter'] as const)),
    ...Object.fromEntries(indices.map((index) => [`mix_${index}`, 'view'] as const)),
  };
  const [from, to] = toward === 'previous' ? ['now', 'before'] : ['before', 'now'];
  const writes = [
    ...extras.map((name) => ({ name, value: extraValues[name] })),
    ...indices.map((index) => ({
      name: `mix_${index}`,
      value: `${from} + (${to} - ${from}) * parameters[node.by_${index} + c]`,
    })),
  ];
  return createShader({
    test: () => shiftMixSelfTest(shape),
    label: `shift-mix of ${mixes} toward ${toward}${hasNorm ? '' : ', no norm'}`,
    element: 'f32',
    fields,
    storages: [{ name: 'state', access: 'write', element: 'f32' }],
    body: `${workgroupSum(size)}
struct Statistics { mean: f32, scale: f32 }
fn statistics(x: u32, lane: u32) -> Statistics {
  ${
    hasNorm
      ? `var sum = 0.0;
  for (var c = lane; c < node.width; c += ${size}u) { sum += arena[x + c]; }
  let mean = workgroup_sum(lane, sum) / f32(node.width);
  var squares = 0.0;
  for (var c = lane; c < node.width; c += ${size}u) {
    let d = arena[x + c] - mean;
    squares += d * d;
  }
  return Statistics(mean, 1.0 / sqrt(workgroup_sum(lane, squares) / f32(node.width) + node.eps));`
      : 'return Statistics(0.0, 1.0);'
  }
}
fn normed(x: u32, c: u32, s: Statistics) -> f32 {
  return ${hasNorm ? '(arena[x + c] - s.mean) * s.scale * parameters[node.weight + c] + parameters[node.bias + c]' : 'arena[x + c]'};
}
@compute @workgroup_size(${size})
fn main(${entryArguments}) {
  let t = ${rowOfGroup};
  if (t >= header[header_tokens]) { return; }
  let mark = header[header[header_first_at] + t];
  let is_first = (mark & ${firstTokenBit}u) != 0u;
  let slot = (mark & ${firstTokenBit - 1}u) * node.width;
  let x = node.x + t * node.x_stride;
  let own = statistics(x, lane);
  let last = node.x + header[header[header_last_at] + t] * node.x_stride;
  let previous = x - select(node.x_stride, 0u, is_first);
  var other: Statistics;
  if (is_first) { other = statistics(last, lane); } else { other = statistics(previous, lane); }
  for (var c = lane; c < node.width; c += ${size}u) {
    let now = normed(x, c, own);
    var before: f32;
    if (is_first) {
      before = state[slot + c];
      state[slot + c] = normed(last, c, other);
    } else { before = normed(previous, c, other); }
    ${writes.map(({ name, value }) => `arena[node.${name} + t * node.${name}_stride + c] = ${value};`).join('\n    ')}
  }
  for (var c = node.width + lane; c < ${writes.map(({ name }) => `node.${name}_stride`)[0] ?? '0u'}; c += ${size}u) {
    ${writes.map(({ name }) => `arena[node.${name} + t * node.${name}_stride + c] = 0.0;`).join('\n    ')}
  }
}`,
  });
}
