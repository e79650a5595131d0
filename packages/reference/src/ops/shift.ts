import type { Prepare } from './context.js';

/**
 * out[t] = x[t-1] within a sequence; at its first token the slot's state [C], which then becomes the sequence's last x.
 * x, out [T, C].
 */
export const prepareShift: Prepare<'shift'> = (op, context) => {
  const { step } = context;
  const { width } = op.out;
  const x = context.value(op.x);
  const out = context.value(op.out);
  const { values: state } = context.state(op.state);
  return () => {
    for (let s = 0; s < step.sequences; s++) {
      const first = step.starts[s]! * width;
      const last = (step.starts[s + 1]! - 1) * width;
      const slot = step.slots[s]! * width;
      for (let c = 0; c < width; c++) out[first + c] = state[slot + c]!;
      for (let at = first; at < last; at++) out[at + width] = x[at]!;
      for (let c = 0; c < width; c++) state[slot + c] = x[last + c]!;
    }
  };
};
