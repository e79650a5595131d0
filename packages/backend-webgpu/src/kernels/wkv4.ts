import { createShader, entryArguments, rowOfGroup, type Shader } from './shader.js';
import { wkv4SelfTest } from './wkv4.self-test.js';

/**
 * RWKV-4 attention, per channel (arXiv:2305.13048, section 3.1 and appendix D); k, v, out [T, C]; decay, first [C].
 * state [3, C]: sums a and b, scaled by e^{-p}, and their running exponent p:
 *
 *     q = max(p, first + k);   out = (e^{p-q} a + e^{first+k-q} v) / (e^{p-q} b + e^{first+k-q})
 *     q = max(p + decay, k);   a ← e^{p+decay-q} a + e^{k-q} v;   b ← e^{p+decay-q} b + e^{k-q};   p ← q
 *
 * An invocation owns one channel of one sequence: group.x counts channels, the rows are sequences.
 * Limits: 4,194,240 channels.
 */
export const wkv4Shader = (): Shader =>
  createShader({
    test: wkv4SelfTest,
    label: 'wkv4',
    element: 'f32',
    fields: {
      width: 'u32',
      k: 'view',
      v: 'view',
      out: 'view',
      decay: 'parameter',
      first: 'parameter',
    },
    storages: [{ name: 'state', access: 'write', element: 'f32' }],
    body: `
@compute @workgroup_size(64)
fn main(${entryArguments}) {
  let sequence = ${rowOfGroup};
  let c = group.x * 64u + lane;
  if (sequence >= header[header_sequences] || c >= node.out_stride) { return; }
  let starts = header[header_starts_at] + sequence;
  let end = header[starts + 1u];
  if (c >= node.width) {
    for (var t = header[starts]; t < end; t++) { arena[node.out + t * node.out_stride + c] = 0.0; }
    return;
  }
  let at = header[header[header_slots_at] + sequence] * 3u * node.width + c;
  let decay = parameters[node.decay + c];
  let first = parameters[node.first + c];
  var a = state[at];
  var b = state[at + node.width];
  var p = state[at + 2u * node.width];
  for (var t = header[starts]; t < end; t++) {
    let key = arena[node.k + t * node.k_stride + c];
    let value = arena[node.v + t * node.v_stride + c];
    let bonus = first + key;
    var q = max(p, bonus);
    var past = exp(p - q);
    var now = exp(bonus - q);
    arena[node.out + t * node.out_stride + c] = (past * a + now * value) / (past * b + now);
    let decayed = p + decay;
    q = max(decayed, key);
    past = exp(decayed - q);
    now = exp(key - q);
    a = past * a + now * value;
    b = past * b + now;
    p = q;
  }
  state[at] = a;
  state[at + node.width] = b;
  state[at + 2u * node.width] = p;
}`,
  });
