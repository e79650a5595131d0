import type { PrepareBackward } from './backward-context.js';

/** out = x[:, start : start + B], so dx[:, start : start + B] += dout; x [_, A], out [_, B]. */
export const prepareSliceBackward: PrepareBackward<'slice'> = (op, context) => {
  const { step } = context;
  const { start } = op;
  const { rows, width } = op.out;
  const stride = op.x.width;
  const dOut = context.outGradient(op.out);
  const dx = context.gradient(op.x);
  return () => {
    if (!dx) return;
    for (let t = 0; t < step.rows[rows]; t++) {
      const row = t * stride + start;
      for (let c = 0; c < width; c++) dx[row + c]! += dOut[t * width + c]!;
    }
  };
};
