import type { PrepareBackward } from './backward-context.js';

/**
 * out = x Wᵀ, so dx += dout W and dW += doutᵀ x; x [_, I], weight [O, I], out [_, O].
 *
 * Both sums run in double before they are added, over O and over the step's rows.
 */
export const prepareMatmulBackward: PrepareBackward<'matmul'> = (op, context) => {
  const { step } = context;
  const { rows, width: outer } = op.out;
  const inner = op.x.width;
  const x = context.value(op.x);
  const weight = context.matrix(op.weight);
  const dOut = context.outGradient(op.out);
  const dx = context.gradient(op.x);
  const dWeight = context.weightGradient(op.weight);
  const line = context.scratch(inner);
  return () => {
    const count = step.rows[rows];
    if (dx) {
      for (let t = 0; t < count; t++) {
        line.fill(0);
        for (let o = 0; o < outer; o++) {
          const d = dOut[t * outer + o]!;
          for (let i = 0; i < inner; i++) line[i]! += d * weight[o * inner + i]!;
        }
        for (let i = 0; i < inner; i++) dx[t * inner + i]! += line[i]!;
      }
    }
    if (!dWeight) return;
    for (let o = 0; o < outer; o++) {
      line.fill(0);
      for (let t = 0; t < count; t++) {
        const d = dOut[t * outer + o]!;
        for (let i = 0; i < inner; i++) line[i]! += d * x[t * inner + i]!;
      }
      for (let i = 0; i < inner; i++) dWeight[o * inner + i]! += line[i]!;
    }
  };
};
