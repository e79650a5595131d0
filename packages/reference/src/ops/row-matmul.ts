import type { Prepare } from './context.js';

/** out[t, b] = Σ_a x[t, a] m[t, a·B + b]; x [T, A], m [T, A·B], out [T, B]. */
export const prepareRowMatmul: Prepare<'row-matmul'> = (op, context) => {
  const { step } = context;
  const { rows, width } = op.out;
  const inner = op.x.width;
  const x = context.value(op.x);
  const m = context.value(op.m);
  const out = context.value(op.out);
  return () => {
    for (let t = 0; t < step.rows[rows]; t++) {
      for (let b = 0; b < width; b++) {
        let sum = 0;
        for (let a = 0; a < inner; a++) sum += x[t * inner + a]! * m[(t * inner + a) * width + b]!;
        out[t * width + b] = sum;
      }
    }
  };
};
