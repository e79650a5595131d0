import { activationFunctions } from '../activation.js';
import type { Prepare } from './context.js';

/** out = activation(x); x, out [_, W]. */
export const prepareActivate: Prepare<'activate'> = (op, context) => {
  const { step } = context;
  const activation = activationFunctions[op.activation];
  const { rows, width } = op.out;
  const x = context.value(op.x);
  const out = context.value(op.out);
  return () => {
    const count = step.rows[rows] * width;
    for (let at = 0; at < count; at++) out[at] = activation(x[at]!);
  };
};
