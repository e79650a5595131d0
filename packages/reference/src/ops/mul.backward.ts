import { operandGradient, type PrepareBackward } from './backward-context.js';
import { operandOf } from './context.js';

/**
 * out = x ⊙ y, so dx += dout ⊙ y and dy += dout ⊙ x, over all rows where y is a parameter; x, out [_, W], y [_, W] or [W].
 */
export const prepareMulBackward: PrepareBackward<'mul'> = (op, context) => {
  const { step } = context;
  const { rows, width } = op.out;
  const x = context.value(op.x);
  const { numbers: y, stride } = operandOf(op.y, context);
  const dOut = context.outGradient(op.out);
  const dx = context.gradient(op.x);
  const dy = operandGradient(op.y, { context, width })?.numbers;
  return () => {
    for (let t = 0; t < step.rows[rows]; t++) {
      const row = t * width;
      const yRow = t * stride;
      for (let c = 0; c < width; c++) {
        const d = dOut[row + c]!;
        if (dx) dx[row + c]! += d * y[yRow + c]!;
        if (dy) dy[yRow + c]! += d * x[row + c]!;
      }
    }
  };
};
