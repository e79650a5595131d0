import type { PrepareBackward } from './backward-context.js';

/**
 * The derivative of a norm; x, out [_, C], weight, bias [C].
 *
 * With x̂ = (x - mean) scale, scale = 1 / sqrt(variance + eps) and g = dout ⊙ weight, means over one of the `groups` parts
 * of a row:
 *
 *     dweight += Σ_rows dout ⊙ x̂;   dbias += Σ_rows dout
 *     dx += scale (g - mean(g) - x̂ mean(g ⊙ x̂))
 *
 * The last line: d mean / dx_c = 1 / n and d scale / dx_c = -scale² x̂_c / n, for the biased variance.
 */
export const prepareNormBackward: PrepareBackward<'norm'> = (op, context) => {
  const { step } = context;
  const { groups, eps } = op;
  const { rows, width } = op.out;
  const size = width / groups;
  const x = context.value(op.x);
  const weight = context.parameter({ weight: op.weight });
  const dOut = context.outGradient(op.out);
  const dx = context.gradient(op.x);
  const dWeight = context.parameterGradient({ weight: op.weight }, width);
  const dBias = context.parameterGradient({ weight: op.bias }, width);
  const normed = context.scratch(size);
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
      let sumG = 0;
      let sumGNormed = 0;
      for (let c = 0; c < size; c++) {
        normed[c] = (x[start + c]! - mean) * scale;
        const d = dOut[start + c]!;
        if (dWeight) dWeight[column + c]! += d * normed[c]!;
        if (dBias) dBias[column + c]! += d;
        sumG += d * weight[column + c]!;
        sumGNormed += d * weight[column + c]! * normed[c]!;
      }
      if (!dx) continue;
      for (let c = 0; c < size; c++) {
        const g = dOut[start + c]! * weight[column + c]!;
        dx[start + c]! += scale * (g - sumG / size - normed[c]! * (sumGNormed / size));
      }
    }
  };
};
