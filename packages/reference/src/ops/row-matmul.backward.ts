import type { PrepareBackward } from './backward-context.js';

/**
 * out[t, b] = Σ_a x[t, a] m[t, a·B + b], so dx[t, a] += Σ_b dout[t, b] m[t, a·B + b] and dm[t, a·B + b] += x[t, a] dout[t, b];
 * x [T, A], m [T, A·B], out [T, B].
 */
export const prepareRowMatmulBackward: PrepareBackward<'row-matmul'> = (op, context) => {
  const { step } = context;
  const { rows, width } = op.out;
  const inner = op.x.width;
  const x = context.value(op.x);
  const m = context.value(op.m);
  const dOut = context.outGradient(op.out);
  const dx = context.gradient(op.x);
  const dm = context.gradient(op.m);
  return () => {
    for (let t = 0; t < step.rows[rows]; t++) {
      for (let a = 0; a < inner; a++) {
        const line = (t * inner + a) * width;
        const xa = x[t * inner + a]!;
        let sum = 0;
        for (let b = 0; b < width; b++) {
          const d = dOut[t * width + b]!;
          sum += d * m[line + b]!;
          if (dm) dm[line + b]! += d * xa;
        }
        if (dx) dx[t * inner + a]! += sum;
      }
    }
  };
};
