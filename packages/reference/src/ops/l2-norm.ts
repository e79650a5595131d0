import type { Prepare } from './context.js';

/** out = x / max(‖x‖₂, eps), over each of `groups` equal parts of a row; x, out [_, C]. */
export const prepareL2Norm: Prepare<'l2-norm'> = (op, context) => {
  const { step } = context;
  const { groups, eps } = op;
  const { rows, width } = op.out;
  const x = context.value(op.x);
  const out = context.value(op.out);
  const size = width / groups;
  return () => {
    const parts = step.rows[rows] * groups;
    for (let part = 0; part < parts; part++) {
      const start = part * size;
      let squares = 0;
      for (let c = 0; c < size; c++) squares += x[start + c]! ** 2;
      const length = Math.max(Math.sqrt(squares), eps);
      for (let c = 0; c < size; c++) out[start + c] = x[start + c]! / length;
    }
  };
};
