import type { Prepare } from './context.js';

/** out = factor · x; x, out [_, W]. */
export const prepareScale: Prepare<'scale'> = (op, context) => {
  const { step } = context;
  const { factor } = op;
  const { rows, width } = op.out;
  const x = context.value(op.x);
  const out = context.value(op.out);
  return () => {
    const count = step.rows[rows] * width;
    for (let at = 0; at < count; at++) out[at] = factor * x[at]!;
  };
};
