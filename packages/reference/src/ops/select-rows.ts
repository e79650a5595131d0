import type { Prepare } from './context.js';

/** out[r] = x[wanted[r]]; x [T, W] to out [R, W]. */
export const prepareSelectRows: Prepare<'select-rows'> = (op, context) => {
  const { step } = context;
  const x = context.value(op.x);
  const out = context.value(op.out);
  const { width } = op.out;
  return () => {
    for (let r = 0; r < step.rows.R; r++) {
      const row = step.wanted[r]! * width;
      for (let c = 0; c < width; c++) out[r * width + c] = x[row + c]!;
    }
  };
};
