import { activationDerivatives } from '../activation.js';
import type { PrepareBackward } from './backward-context.js';

/** out = activation(x), so dx += dout ⊙ activation'(x); x, out [_, W]. */
export const prepareActivateBackward: PrepareBackward<'activate'> = (op, context) => {
  const { step } = context;
  const derivative = activationDerivatives[op.activation];
  const { rows, width } = op.out;
  const x = context.value(op.x);
  const dOut = context.outGradient(op.out);
  const dx = context.gradient(op.x);
  return () => {
    if (!dx) return;
    const count = step.rows[rows] * width;
    for (let at = 0; at < count; at++) dx[at]! += dOut[at]! * derivative(x[at]!);
  };
};
