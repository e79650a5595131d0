import type { Prepare } from './context.js';

/**
 * out[t] = table[token[t]]; table [V, W] to out [T, W].
 * The model's own input takes the batch's embedding vector where it gives one.
 */
export const prepareEmbed: Prepare<'embed'> = (op, context) => {
  const { step } = context;
  const table = context.matrix(op.table);
  const out = context.value(op.out);
  const { width } = op.out;
  return () => {
    for (let t = 0; t < step.rows.T; t++) {
      const row = step.tokens[t]! * width;
      for (let c = 0; c < width; c++) out[t * width + c] = table[row + c]!;
    }
    if (op.by === 'token' || !step.embeddings) return;
    const { at, vectors } = step.embeddings;
    for (let e = 0; e < at.length; e++) {
      const t = at[e]!;
      for (let c = 0; c < width; c++) out[t * width + c] = vectors[e * width + c]!;
    }
  };
};
