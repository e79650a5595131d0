import { isValue } from '@rwkv-ts/program';
import { type OpContext, operandOf, type Prepare } from './context.js';
import type { OpOf } from '@rwkv-ts/backend';
import type { Numbers } from '../numbers.js';

/**
 * RWKV-5 and RWKV-6 attention, per head (arXiv:2404.05892, sections 4.1 and 4.2); r, k, v, out [T, C].
 *
 * state S [H, N(key), N(value)]; with i the key index and j the value index:
 *
 *     out_j = Σ_i r_i (first_i k_i v_j + S_ij);   S_ij ← k_i v_j + decay_i S_ij
 *
 * The output sees the state before this token's decay.
 */
export const prepareWkv6: Prepare<'wkv6'> = (op, context) => {
  const { step } = context;
  const { heads } = op;
  const { width } = op.out;
  const n = width / heads;
  const r = context.value(op.r);
  const k = context.value(op.k);
  const v = context.value(op.v);
  const out = context.value(op.out);
  const { numbers: decay, stride } = decayOf(op, context);
  const first = context.parameter(op.first, width);
  const { values: state, size } = context.state(op.state);
  const sums = context.scratch(n);
  return () => {
    for (let s = 0; s < step.sequences; s++) {
      for (let h = 0; h < heads; h++) {
        const matrix = step.slots[s]! * size + h * n * n;
        for (let t = step.starts[s]!; t < step.starts[s + 1]!; t++) {
          const row = t * width + h * n;
          sums.fill(0);
          for (let i = 0; i < n; i++) {
            const ri = r[row + i]!;
            const ki = k[row + i]!;
            const di = decay[t * stride + h * n + i]!;
            const ui = first[h * n + i]!;
            const line = matrix + i * n;
            for (let j = 0; j < n; j++) {
              const kv = ki * v[row + j]!;
              const old = state[line + j]!;
              sums[j]! += ri * (ui * kv + old);
              state[line + j] = kv + di * old;
            }
          }
          for (let j = 0; j < n; j++) out[row + j] = sums[j]!;
        }
      }
    }
  };
};

/** The decay as `numbers[t * stride + channel]`: a value per token (v6), or one row that all tokens share (v5). */
export function decayOf(
  { decay, out }: OpOf<'wkv6'>,
  context: OpContext,
): { readonly numbers: Numbers; readonly stride: number } {
  if (isValue(decay)) return operandOf(decay, context);
  return { numbers: context.parameter(decay, out.width), stride: 0 };
}
