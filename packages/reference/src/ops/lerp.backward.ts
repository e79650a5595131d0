import { operandGradient, type PrepareBackward } from './backward-context.js';
import { operandOf } from './context.js';

/**
 * out = x + (y - x) ⊙ by, so dx += dout ⊙ (1 - by), dy += dout ⊙ by, dby += dout ⊙ (y - x), over all rows where `by` is a
 * parameter; x, y, out [_, W], by [_, W] or [W].
 */
export const prepareLerpBackward: PrepareBackward<'lerp'> = (op, context) => {
  const { step } = context;
  const { rows, width } = op.out;
  const x = context.value(op.x);
  const y = context.value(op.y);
  const { numbers: by, stride } = operandOf(op.by, context);
  const dOut = context.outGradient(op.out);
  const dx = context.gradient(op.x);
  const dy = context.gradient(op.y);
  const dBy = operandGradient(op.by, { context, width })?.numbers;
  return () => {
    for (let t = 0; t < step.rows[rows]; t++) {
      const row = t * width;
      const byRow = t * stride;
      for (let c = 0; c < width; c++) {
        const d = dOut[row + c]!;
        const amount = by[byRow + c]!;
        if (dx) dx[row + c]! += d * (1 - amount);
        if (dy) dy[row + c]! += d * amount;
        if (dBy) dBy[byRow + c]! += d * (y[row + c]! - x[row + c]!);
      }
    }
  };
};
