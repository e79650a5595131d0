import { operandOf, type Prepare } from './context.js';

/** out = x + (y - x) ⊙ by; x, y, out [_, W], by [_, W] or [W]. */
export const prepareLerp: Prepare<'lerp'> = (op, context) => {
  const { step } = context;
  const { rows, width } = op.out;
  const x = context.value(op.x);
  const y = context.value(op.y);
  const out = context.value(op.out);
  const { numbers: by, stride } = operandOf(op.by, context);
  return () => {
    for (let t = 0; t < step.rows[rows]; t++) {
      const row = t * width;
      const byRow = t * stride;
      for (let c = 0; c < width; c++) {
        out[row + c] = x[row + c]! + (y[row + c]! - x[row + c]!) * by[byRow + c]!;
      }
    }
  };
};
