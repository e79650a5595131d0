import type { Prepare } from './context.js';

/**
 * out_h = (Σ_n r_n k_n by_n) v_h: the current token's own contribution (arXiv:2503.14456, section 4.1).
 * r, k, v, out [_, C]; by [H, N].
 */
export const prepareBonus7: Prepare<'bonus7'> = (op, context) => {
  const { step } = context;
  const { heads } = op;
  const { rows, width } = op.out;
  const n = width / heads;
  const r = context.value(op.r);
  const k = context.value(op.k);
  const v = context.value(op.v);
  const out = context.value(op.out);
  const by = context.parameter(op.by);
  return () => {
    for (let t = 0; t < step.rows[rows]; t++) {
      for (let h = 0; h < heads; h++) {
        const row = t * width + h * n;
        let sum = 0;
        for (let i = 0; i < n; i++) sum += r[row + i]! * k[row + i]! * by[h * n + i]!;
        for (let i = 0; i < n; i++) out[row + i] = sum * v[row + i]!;
      }
    }
  };
};
