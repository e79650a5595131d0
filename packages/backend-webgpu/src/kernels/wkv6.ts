import { workgroupSum } from './reduce.js';
import {
  createShader,
  entryArguments,
  type FieldLayout,
  rowOfGroup,
  type Shader,
} from './shader.js';
import { wkv6SelfTest } from './wkv6.self-test.js';

export interface Wkv6Shape {
  /** N; at most 256. */
  readonly size: number;
  readonly decay: 'view' | 'parameter';
  readonly hasNorm: boolean;
  readonly hasGate: boolean;
}

/**
 * RWKV-5 and RWKV-6 attention, per head (arXiv:2404.05892, sections 4.1 and 4.2), with the per-head norm and the gate where
 * given; r, k, v, decay, gate, out [T, C]; decay as a parameter and first [H, N]. state S [H, N(key), N(value)]; with i
 * the key index and j the value index:
 *
 *     out_j = Σ_i r_i (first_i k_i v_j + S_ij);   S_ij ← k_i v_j + decay_i S_ij
 *
 * A group owns one head of one sequence (group.x is the head, rows are sequences), an invocation a value index j: column j
 * of S stays in its registers from token to token. r, k and decay of a token go through shared memory.
 * Limits: N up to 256.
 */
export function wkv6Shader(shape: Wkv6Shape): Shader {
  const { size, decay, hasNorm, hasGate } = shape;
  const lanes = Math.max(32, 2 ** Math.ceil(Math.log2(size)));
  const fields: FieldLayout = {
    width: 'u32',
    r: 'view',
    k: 'view',
    v: 'view',
    out: 'view',
    decay,
    first: 'parameter',
    ...(hasNorm ? { eps: 'f32', weight: 'parameter', bias: 'parameter' } : {}),
    ...(hasGate ? { gate: 'view' } : {}),
  };
  const decayNumber =
    decay === 'view'
      ? 'arena[node.decay + t * node.decay_stride + c]'
      : 'parameters[node.decay + c]';
  return createShader({
    test: () => wkv6SelfTest(shape),
    label: `wkv6 of ${size}, decay as ${decay}${hasNorm ? ', norm' : ''}${hasGate ? ', gate' : ''}`,
    element: 'f32',
    fields,
    storages: [{ name: 'state', access: 'write', element: 'f32' }],
    body: `${hasNorm ? workgroupSum(lanes) : ''}
/** r, k, decay and r ⊙ first ⊙ k of each key index. */
var<workgroup> token_inputs: array<vec4f, ${size}>;
@compute @workgroup_size(${lanes})
fn main(${entryArguments}) {
  let sequence = ${rowOfGroup};
  if (sequence >= header[header_sequences]) { return; }
  let starts = header[header_starts_at] + sequence;
  let end = header[starts + 1u];
  let is_own = lane < ${size}u;
  let c = group.x * ${size}u + min(lane, ${size - 1}u);
  let at = (header[header[header_slots_at] + sequence] * node.width + group.x * ${size}u) * ${size}u + min(lane, ${size - 1}u);
  var column: array<f32, ${size}>;
  for (var i = 0u; i < ${size}u; i++) { column[i] = state[at + i * ${size}u]; }
  let first = parameters[node.first + c];
  for (var t = header[starts]; t < end; t++) {
    workgroupBarrier();
    if (is_own) {
      let r = arena[node.r + t * node.r_stride + c];
      let k = arena[node.k + t * node.k_stride + c];
      token_inputs[lane] = vec4f(r, k, ${decayNumber}, r * first * k);
    }
    workgroupBarrier();
    let v = arena[node.v + t * node.v_stride + c];
    var sum = 0.0;
    for (var i = 0u; i < ${size}u; i++) {
      let x = token_inputs[i];
      let old = column[i];
      sum += x.x * old + x.w * v;
      column[i] = x.y * v + x.z * old;
    }
    ${
      hasNorm
        ? `let mean = workgroup_sum(lane, select(0.0, sum, is_own)) / ${size}.0;
    let difference = sum - mean;
    let variance = workgroup_sum(lane, select(0.0, difference * difference, is_own)) / ${size}.0;
    sum = difference / sqrt(variance + node.eps) * parameters[node.weight + c] + parameters[node.bias + c];`
        : ''
    }
    ${hasGate ? 'sum *= arena[node.gate + t * node.gate_stride + c];' : ''}
    if (is_own) { arena[node.out + t * node.out_stride + c] = sum; }
    if (group.x == 0u) {
      for (var p = node.width + lane; p < node.out_stride; p += ${lanes}u) { arena[node.out + t * node.out_stride + p] = 0.0; }
    }
  }
  if (is_own) {
    for (var i = 0u; i < ${size}u; i++) { state[at + i * ${size}u] = column[i]; }
  }
}`,
  });
}
