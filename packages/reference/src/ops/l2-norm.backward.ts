import type { PrepareBackward } from './backward-context.js';

/**
 * out = x / max(‖x‖₂, eps), over each of `groups` equal parts of a row; x, out [_, C].
 * Where ‖x‖ is above eps, d‖x‖/dx = out and dx += (dout - out (out · dout)) / ‖x‖; below, dx += dout / eps.
 */
export const prepareL2NormBackward: PrepareBackward<'l2-norm'> = (op, context) => {
  const { step } = context;
  const { groups, eps } = op;
  const { rows, width } = op.out;
  const size = width / groups;
  const x = context.value(op.x);
  const dOut = context.outGradient(op.out);
  const dx = context.gradient(op.x);
  return () => {
    if (!dx) return;
    const parts = step.rows[rows] * groups;
    for (let part = 0; part < parts; part++) {
      const start = part * size;
      let squares = 0;
      let along = 0;
      for (let c = 0; c < size; c++) {
        squares += x[start + c]! ** 2;
        along += x[start + c]! * dOut[start + c]!;
      }
      const length = Math.sqrt(squares);
      const isLong = length > eps;
      const divisor = isLong ? length : eps;
      // (out · dout) / ‖x‖, in which out = x / ‖x‖.
      const pull = isLong ? along / length / length : 0;
      for (let c = 0; c < size; c++) {
        dx[start + c]! += (dOut[start + c]! - pull * x[start + c]!) / divisor;
      }
    }
  };
};
