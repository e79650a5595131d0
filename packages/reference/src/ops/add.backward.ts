import { operandGradient, type PrepareBackward } from './backward-context.js';

/** out = x + y, so dx += dout and dy += dout, over all rows where y is a parameter; x, out [_, W], y [_, W] or [W]. */
export const prepareAddBackward: PrepareBackward<'add'> = (op, context) => {
  const { step } = context;
  const { rows, width } = op.out;
  const dOut = context.outGradient(op.out);
  const dx = context.gradient(op.x);
  const dy = operandGradient(op.y, { context, width });
  return () => {
    for (let t = 0; t < step.rows[rows]; t++) {
      const row = t * width;
      for (let c = 0; c < width; c++) {
        const d = dOut[row + c]!;
        if (dx) dx[row + c]! += d;
        if (dy) dy.numbers[t * dy.stride + c]! += d;
      }
    }
  };
};
