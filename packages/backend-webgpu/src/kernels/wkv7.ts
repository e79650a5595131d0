import { workgroupSum } from './reduce.js';
import {
  createShader,
  entryArguments,
  type FieldLayout,
  rowOfGroup,
  type Shader,
} from './shader.js';

export interface Wkv7Shape {
  /** N; at most 256. */
  readonly size: number;
  /** The per-head norm, the bonus and the gate of time-mix7. */
  readonly hasTail: boolean;
  /** Makes key, a and b (and the value, where `residual`) itself, from the raw key: prepare7. */
  readonly preparation: 'none' | 'own value' | 'residual value';
}

/**
 * RWKV-7 attention, per head (arXiv:2503.14456, section 4.1); r, w, k, v, a, b, gate, out [T, C]; by [H, N].
 * state S [H, N(value), N(key)]; with i the value index and j the key index:
 *
 *     z_i = Σ_j S_ij a_j;   S_ij ← S_ij w_j + z_i b_j + v_i k_j;   out_i = Σ_j S_ij r_j
 *
 * With the tail: out = (norm(out) + (Σ_j r_j k_j by_j) v) ⊙ gate. With the preparation k is the raw key, and first
 * κ = k ⊙ removal / max(‖k ⊙ removal‖, floor); a = -κ; b = κ ⊙ rate; k ← k (1 + (rate - 1) ⊙ replacement);
 * v ← v + (first - v) ⊙ amount.
 *
 * A group owns one head of one sequence (group.x is the head, rows are sequences), an invocation a value index i: row i of S
 * stays in its registers from token to token, and is turned at load and store so that neighbours touch neighbouring
 * numbers only within cache lines. The token's vectors over j go through shared memory.
 * Limits: N up to 256.
 */
export function wkv7Shader({ size, hasTail, preparation }: Wkv7Shape): Shader {
  const lanes = Math.max(32, 2 ** Math.ceil(Math.log2(size)));
  const prepares = preparation !== 'none';
  const fields: FieldLayout = {
    width: 'u32',
    r: 'view',
    w: 'view',
    k: 'view',
    v: 'view',
    out: 'view',
    ...(prepares
      ? { rate: 'view', removal: 'parameter', replacement: 'parameter', floor: 'f32' }
      : { a: 'view', b: 'view' }),
    ...(preparation === 'residual value' ? { first: 'view', amount: 'view' } : {}),
    ...(hasTail
      ? { gate: 'view', by: 'parameter', eps: 'f32', weight: 'parameter', bias: 'parameter' }
      : {}),
  };
  const load = (name: string): string => `arena[node.${name} + t * node.${name}_stride + c]`;
  return createShader({
    label: `wkv7 of ${size}${hasTail ? ', tail' : ''}, preparation: ${preparation}`,
    element: 'f32',
    fields,
    storages: [{ name: 'state', access: 'write', element: 'f32' }],
    body: `${hasTail || prepares ? workgroupSum(lanes) : ''}
/** a, w, b, k and r of each key index. */
var<workgroup> token_inputs: array<vec4f, ${size}>;
var<workgroup> token_r: array<f32, ${size}>;
@compute @workgroup_size(${lanes})
fn main(${entryArguments}) {
  let sequence = ${rowOfGroup};
  if (sequence >= header[header_sequences]) { return; }
  let starts = header[header_starts_at] + sequence;
  let end = header[starts + 1u];
  let is_own = lane < ${size}u;
  let own = min(lane, ${size - 1}u);
  let c = group.x * ${size}u + own;
  let at = (header[header[header_slots_at] + sequence] * node.width + c) * ${size}u;
  var line: array<f32, ${size}>;
  for (var j = 0u; j < ${size}u; j++) { line[j] = state[at + j]; }
  for (var t = header[starts]; t < end; t++) {
    let r = ${load('r')};
    var k = ${load('k')};
    var v = ${load('v')};
    ${
      prepares
        ? `let rate = ${load('rate')};
    let removed = k * parameters[node.removal + c];
    let length = max(sqrt(workgroup_sum(lane, select(0.0, removed * removed, is_own))), node.floor);
    let direction = removed / length;
    let a = -direction;
    let b = direction * rate;
    k = k * (1.0 + (rate - 1.0) * parameters[node.replacement + c]);`
        : `let a = ${load('a')};
    let b = ${load('b')};`
    }
    ${preparation === 'residual value' ? `v = v + (${load('first')} - v) * ${load('amount')};` : ''}
    workgroupBarrier();
    if (is_own) {
      token_inputs[lane] = vec4f(a, ${load('w')}, b, k);
      token_r[lane] = r;
    }
    workgroupBarrier();
    var z = 0.0;
    for (var j = 0u; j < ${size}u; j++) { z += line[j] * token_inputs[j].x; }
    var sum = 0.0;
    for (var j = 0u; j < ${size}u; j++) {
      let x = token_inputs[j];
      let next = line[j] * x.y + z * x.z + v * x.w;
      line[j] = next;
      sum += next * token_r[j];
    }
    ${
      hasTail
        ? `let mean = workgroup_sum(lane, select(0.0, sum, is_own)) / ${size}.0;
    let difference = sum - mean;
    let variance = workgroup_sum(lane, select(0.0, difference * difference, is_own)) / ${size}.0;
    let bonus = workgroup_sum(lane, select(0.0, r * k * parameters[node.by + c], is_own));
    sum = difference / sqrt(variance + node.eps) * parameters[node.weight + c] + parameters[node.bias + c];
    sum = (sum + bonus * v) * ${load('gate')};`
        : ''
    }
    if (is_own) { arena[node.out + t * node.out_stride + c] = sum; }
    if (group.x == 0u) {
      for (var p = node.width + lane; p < node.out_stride; p += ${lanes}u) { arena[node.out + t * node.out_stride + p] = 0.0; }
    }
  }
  if (is_own) {
    for (var j = 0u; j < ${size}u; j++) { state[at + j] = line[j]; }
  }
}`,
  });
}
