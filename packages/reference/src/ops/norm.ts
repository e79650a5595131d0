import type { Prepare } from './context.js';

/**
 * out = (x - mean) / sqrt(variance + eps) ⊙ weight + bias, over each of `groups` equal parts of a row; x, out [_, C].
 * Biased variance, from the differences to the mean, which unlike E[x²] - mean² does not cancel
 * (LayerNorm arXiv:1607.06450; per head it is GroupNorm arXiv:1803.08494).
 */
export const prepareNorm: Prepare<'norm'> = (op, context) => {
  const { step } = context;
  const { groups, eps } = op;
  const { rows, width } = op.out;
  const x = context.value(op.x);
  const out = context.value(op.out);
  const weight = context.parameter({ weight: op.weight });
  const bias = context.parameter({ weight: op.bias });
  const size = width / groups;
  return () => {
    const parts = step.rows[rows] * groups;
    for (let part = 0; part < parts; part++) {
      const start = part * size;
      const column = start % width;
      let sum = 0;
      for (let c = 0; c < size; c++) sum += x[start + c]!;
      const mean = sum / size;
      let squares = 0;
      for (let c = 0; c < size; c++) squares += (x[start + c]! - mean) ** 2;
      const scale = 1 / Math.sqrt(squares / size + eps);
      for (let c = 0; c < size; c++) {
        out[start + c] = (x[start + c]! - mean) * scale * weight[column + c]! + bias[column + c]!;
      }
    }
  };
};
