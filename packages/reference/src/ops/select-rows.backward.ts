import type { PrepareBackward } from './backward-context.js';

/** out[r] = x[wanted[r]], so dx[wanted[r]] += dout[r]; x [T, W], out [R, W]. */
export const prepareSelectRowsBackward: PrepareBackward<'select-rows'> = (op, context) => {
  const { step } = context;
  const { width } = op.out;
  const dOut = context.outGradient(op.out);
  const dx = context.gradient(op.x);
  return () => {
    if (!dx) return;
    for (let r = 0; r < step.rows.R; r++) {
      const row = step.wanted[r]! * width;
      for (let c = 0; c < width; c++) dx[row + c]! += dOut[r * width + c]!;
    }
  };
};
