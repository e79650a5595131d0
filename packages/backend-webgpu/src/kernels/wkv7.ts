import { workgroupSum } from './reduce.js';
import {
  createShader,
  entryArguments,
  type FieldLayout,
  rowOfGroup,
  type Shader,
} from './shader.js';
import { wkv7SelfTest } from './wkv7.self-test.js';

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
 * A group owns one head of one sequence (group.x is the head, rows are sequences). A row of S is owned by a team of up to
 * four lanes, each of which keeps every so-many-th quad of it in registers from token to token; what is per channel is
 * made by the first lanes and goes through shared memory, as do the teams' sums.
 * Limits: N up to 256.
 */
export function wkv7Shader(shape: Wkv7Shape): Shader {
  const { size, hasTail, preparation } = shape;
  const channels = Math.max(8, 2 ** Math.ceil(Math.log2(size)));
  const team = Math.max(1, Math.min(4, 256 / channels));
  const lanes = channels * team;
  const quads = Math.ceil(size / 4);
  const ownQuads = Math.ceil(quads / team);
  const wholeQuads = size % 4 === 0;
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
    test: () => wkv7SelfTest(shape),
    label: `wkv7 of ${size}${hasTail ? ', tail' : ''}, preparation: ${preparation}`,
    element: 'f32',
    fields,
    storages: [{ name: 'state', access: 'write', element: wholeQuads ? 'vec4f' : 'f32' }],
    body: `${hasTail || prepares ? workgroupSum(lanes) : ''}${hasTail ? workgroupSum(lanes, 'vec2f') : ''}
/** Of each key index, with zeros up to a multiple of four. */
var<workgroup> token_a: array<vec4f, ${quads}>;
var<workgroup> token_w: array<vec4f, ${quads}>;
var<workgroup> token_b: array<vec4f, ${quads}>;
var<workgroup> token_k: array<vec4f, ${quads}>;
var<workgroup> token_r: array<vec4f, ${quads}>;
var<workgroup> numbers: array<f32, ${20 * quads}>;
var<workgroup> values: array<f32, ${channels}>;
var<workgroup> team_sums: array<f32, ${lanes}>;
fn four(n: u32) -> vec4f { return vec4f(numbers[n], numbers[n + 1u], numbers[n + 2u], numbers[n + 3u]); }
fn team_sum(first: u32) -> f32 {
  return ${Array.from({ length: team }, (_, index) => `team_sums[first + ${index}u]`).join(' + ')};
}
fn state_at(at: u32, quad: u32) -> vec4f {
  ${
    wholeQuads
      ? 'return state[at + quad];'
      : `var four = vec4f();
  for (var n = 0u; n < 4u; n++) { if (4u * quad + n < ${size}u) { four[n] = state[at + 4u * quad + n]; } }
  return four;`
  }
}
@compute @workgroup_size(${lanes})
fn main(${entryArguments}) {
  let sequence = ${rowOfGroup};
  if (sequence >= header[header_sequences]) { return; }
  let starts = header[header_starts_at] + sequence;
  let end = header[starts + 1u];
  let is_channel = lane < ${size}u;
  let c = group.x * ${size}u + min(lane, ${size - 1}u);
  let row = lane / ${team}u;
  let is_row = row < ${size}u;
  let own = lane % ${team}u;
  let at = (header[header[header_slots_at] + sequence] * node.width + group.x * ${size}u + min(row, ${size - 1}u)) * ${wholeQuads ? quads : size}u;
  var line: array<vec4f, ${ownQuads}>;
  for (var n = 0u; n < ${ownQuads}u; n++) {
    let quad = own + ${team}u * n;
    if (quad < ${quads}u) { line[n] = state_at(at, quad); }
  }
  for (var n = lane; n < ${20 * quads}u; n += ${lanes}u) { numbers[n] = 0.0; }
  workgroupBarrier();
  for (var t = header[starts]; t < end; t++) {
    let r = ${load('r')};
    var k = ${load('k')};
    var v = ${load('v')};
    ${
      prepares
        ? `let rate = ${load('rate')};
    let removed = k * parameters[node.removal + c];
    let length = max(sqrt(workgroup_sum(lane, select(0.0, removed * removed, is_channel))), node.floor);
    let direction = removed / length;
    let a = -direction;
    let b = direction * rate;
    k = k * (1.0 + (rate - 1.0) * parameters[node.replacement + c]);`
        : `let a = ${load('a')};
    let b = ${load('b')};`
    }
    ${preparation === 'residual value' ? `v = v + (${load('first')} - v) * ${load('amount')};` : ''}
    if (is_channel) {
      numbers[lane] = a;
      numbers[lane + ${4 * quads}u] = ${load('w')};
      numbers[lane + ${8 * quads}u] = b;
      numbers[lane + ${12 * quads}u] = k;
      numbers[lane + ${16 * quads}u] = r;
      values[lane] = v;
    }
    workgroupBarrier();
    if (lane < ${quads}u) {
      token_a[lane] = four(4u * lane);
      token_w[lane] = four(4u * lane + ${4 * quads}u);
      token_b[lane] = four(4u * lane + ${8 * quads}u);
      token_k[lane] = four(4u * lane + ${12 * quads}u);
      token_r[lane] = four(4u * lane + ${16 * quads}u);
    }
    workgroupBarrier();
    var part = 0.0;
    for (var n = 0u; n < ${ownQuads}u; n++) {
      part += dot(line[n], token_a[min(own + ${team}u * n, ${quads - 1}u)]);
    }
    team_sums[lane] = part;
    workgroupBarrier();
    let z = team_sum(lane - own);
    let value = values[min(row, ${channels - 1}u)];
    workgroupBarrier();
    part = 0.0;
    for (var n = 0u; n < ${ownQuads}u; n++) {
      let quad = own + ${team}u * n;
      if (quad < ${quads}u) {
        line[n] = line[n] * token_w[quad] + z * token_b[quad] + value * token_k[quad];
        part += dot(line[n], token_r[quad]);
      }
    }
    team_sums[lane] = part;
    workgroupBarrier();
    var sum = team_sum(${team}u * min(lane, ${size - 1}u));
    ${
      hasTail
        ? `let sums = workgroup_sums(lane, select(vec2f(0.0), vec2f(sum, r * k * parameters[node.by + c]), is_channel));
    let mean = sums.x / ${size}.0;
    let bonus = sums.y;
    let difference = sum - mean;
    let variance = workgroup_sum(lane, select(0.0, difference * difference, is_channel)) / ${size}.0;
    sum = difference / sqrt(variance + node.eps) * parameters[node.weight + c] + parameters[node.bias + c];
    sum = (sum + bonus * v) * ${load('gate')};`
        : ''
    }
    if (is_channel) { arena[node.out + t * node.out_stride + c] = sum; }
    if (group.x == 0u) {
      for (var p = node.width + lane; p < node.out_stride; p += ${lanes}u) { arena[node.out + t * node.out_stride + p] = 0.0; }
    }
    workgroupBarrier();
  }
  if (!is_row) { return; }
  for (var n = 0u; n < ${ownQuads}u; n++) {
    let quad = own + ${team}u * n;
    if (quad >= ${quads}u) { break; }
    ${
      wholeQuads
        ? 'state[at + quad] = line[n];'
        : `for (var e = 0u; e < 4u; e++) { if (4u * quad + e < ${size}u) { state[at + 4u * quad + e] = line[n][e]; } }`
    }
  }
}`,
  });
}
