import type { Prepare } from './context.js';

/**
 * RWKV-7 attention, per head (arXiv:2503.14456, section 4.1); r, w, k, v, a, b, out [T, C].
 *
 * state S [H, N(value), N(key)]; with i the value index and j the key index:
 *
 *     z_i = Σ_j S_ij a_j;   S_ij ← S_ij w_j + z_i b_j + v_i k_j;   out_i = Σ_j S_ij r_j
 *
 * z uses the state before this token's decay, out the state after its update. With f32 precision S is rounded where it is
 * stored, once per token, and z of the next token sees that; out is summed from the unrounded S, as all sums are.
 */
export const prepareWkv7: Prepare<'wkv7'> = (op, context) => {
  const { step } = context;
  const { heads } = op;
  const { width } = op.out;
  const n = width / heads;
  const r = context.value(op.r);
  const w = context.value(op.w);
  const k = context.value(op.k);
  const v = context.value(op.v);
  const a = context.value(op.a);
  const b = context.value(op.b);
  const out = context.value(op.out);
  const { values: state, size } = context.state(op.state);
  return () => {
    for (let s = 0; s < step.sequences; s++) {
      for (let h = 0; h < heads; h++) {
        const matrix = step.slots[s]! * size + h * n * n;
        for (let t = step.starts[s]!; t < step.starts[s + 1]!; t++) {
          const row = t * width + h * n;
          for (let i = 0; i < n; i++) {
            const line = matrix + i * n;
            let z = 0;
            for (let j = 0; j < n; j++) z += state[line + j]! * a[row + j]!;
            const vi = v[row + i]!;
            let sum = 0;
            for (let j = 0; j < n; j++) {
              const next = state[line + j]! * w[row + j]! + z * b[row + j]! + vi * k[row + j]!;
              state[line + j] = next;
              sum += next * r[row + j]!;
            }
            out[row + i] = sum;
          }
        }
      }
    }
  };
};
