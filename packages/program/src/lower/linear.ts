import { chain } from './chain.js';
import type { LowerRule } from './context.js';

/** matmul, then the activation, the gate and the residual, each where given. */
export const lowerLinear: LowerRule<'linear'> = (op, context) => {
  const { activation, gate, residual } = op;
  return chain(context, {
    x: op.x,
    out: op.out,
    links: [
      (x, out) => ({ kind: 'matmul', out, x, weight: op.weight }),
      activation && ((x, out) => ({ kind: 'activate', out, x, activation })),
      gate && ((x, out) => ({ kind: 'mul', out, x, y: gate })),
      residual && ((x, out) => ({ kind: 'add', out, x, y: residual })),
    ],
  });
};
