import type { PrepareBackward } from './backward-context.js';

/**
 * out_h = sum v_h with sum = Σ_n r_n k_n by_n; r, k, v, out [_, C], by [H, N].
 *
 *     dsum = Σ_n dout_n v_n;   dv_n += sum dout_n
 *     dr_n += dsum k_n by_n;   dk_n += dsum r_n by_n;   dby_n += Σ_rows dsum r_n k_n
 */
export const prepareBonus7Backward: PrepareBackward<'bonus7'> = (op, context) => {
  const { step } = context;
  const { heads } = op;
  const { rows, width } = op.out;
  const n = width / heads;
  const r = context.value(op.r);
  const k = context.value(op.k);
  const v = context.value(op.v);
  const by = context.parameter(op.by);
  const dOut = context.outGradient(op.out);
  const dr = context.gradient(op.r);
  const dk = context.gradient(op.k);
  const dv = context.gradient(op.v);
  const dBy = context.parameterGradient(op.by, width);
  return () => {
    for (let t = 0; t < step.rows[rows]; t++) {
      for (let h = 0; h < heads; h++) {
        const row = t * width + h * n;
        let sum = 0;
        let dSum = 0;
        for (let i = 0; i < n; i++) {
          sum += r[row + i]! * k[row + i]! * by[h * n + i]!;
          dSum += dOut[row + i]! * v[row + i]!;
        }
        for (let i = 0; i < n; i++) {
          const [ri, ki, byI] = [r[row + i]!, k[row + i]!, by[h * n + i]!];
          if (dv) dv[row + i]! += sum * dOut[row + i]!;
          if (dr) dr[row + i]! += dSum * ki * byI;
          if (dk) dk[row + i]! += dSum * ri * byI;
          if (dBy) dBy[h * n + i]! += dSum * ri * ki;
        }
      }
    }
  };
};
