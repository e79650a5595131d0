import { operandOf, type Prepare } from './context.js';

/** out = x + y; x, out [_, W], y [_, W] or [W]. */
export const prepareAdd: Prepare<'add'> = (op, context) => {
  const { step } = context;
  const { rows, width } = op.out;
  const x = context.value(op.x);
  const out = context.value(op.out);
  const { numbers: y, stride } = operandOf(op.y, context);
  return () => {
    for (let t = 0; t < step.rows[rows]; t++) {
      const row = t * width;
      const yRow = t * stride;
      for (let c = 0; c < width; c++) out[row + c] = x[row + c]! + y[yRow + c]!;
    }
  };
};
