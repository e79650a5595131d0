import type { PrepareBackward } from './backward-context.js';

/** out[t] = table[token[t]], so dtable[token[t]] += dout[t]; table [V, W], out [T, W]. */
export const prepareEmbedBackward: PrepareBackward<'embed'> = (op, context) => {
  const { step } = context;
  const { width } = op.out;
  const dOut = context.outGradient(op.out);
  const dTable = context.weightGradient(op.table);
  return () => {
    if (!dTable) return;
    for (let t = 0; t < step.rows.T; t++) {
      const row = step.tokens[t]! * width;
      for (let c = 0; c < width; c++) dTable[row + c]! += dOut[t * width + c]!;
    }
  };
};
