import type { PrepareBackward } from './backward-context.js';

/** out = factor · x, so dx += factor · dout; x, out [_, W]. */
export const prepareScaleBackward: PrepareBackward<'scale'> = (op, context) => {
  const { step } = context;
  const { factor } = op;
  const { rows, width } = op.out;
  const dOut = context.outGradient(op.out);
  const dx = context.gradient(op.x);
  return () => {
    if (!dx) return;
    const count = step.rows[rows] * width;
    for (let at = 0; at < count; at++) dx[at]! += factor * dOut[at]!;
  };
};
