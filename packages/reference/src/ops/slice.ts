import type { Prepare } from './context.js';

/** out = x[:, start : start + B]; x [_, A] to out [_, B]. */
export const prepareSlice: Prepare<'slice'> = (op, context) => {
  const { step } = context;
  const { start } = op;
  const { rows, width } = op.out;
  const stride = op.x.width;
  const x = context.value(op.x);
  const out = context.value(op.out);
  return () => {
    for (let t = 0; t < step.rows[rows]; t++) {
      const row = t * stride + start;
      for (let c = 0; c < width; c++) out[t * width + c] = x[row + c]!;
    }
  };
};
