import type { PrepareBackward } from './backward-context.js';

/**
 * out[t] = x[t-1], at a sequence's first token the state [C], which becomes the sequence's last x; x, out [T, C]:
 *
 *     dx[t] += dout[t+1] within the sequence;   dx[last] += dstate;   dstate ← dout[first]
 */
export const prepareShiftBackward: PrepareBackward<'shift'> = (op, context) => {
  const { step } = context;
  const { width } = op.out;
  const dOut = context.outGradient(op.out);
  const dx = context.gradient(op.x);
  const { values: dState } = context.stateGradient(op.state);
  return () => {
    for (let s = 0; s < step.sequences; s++) {
      const first = step.starts[s]! * width;
      const last = (step.starts[s + 1]! - 1) * width;
      const slot = step.slots[s]! * width;
      if (dx) {
        for (let at = first; at < last; at++) dx[at]! += dOut[at + width]!;
        for (let c = 0; c < width; c++) dx[last + c]! += dState[slot + c]!;
      }
      for (let c = 0; c < width; c++) dState[slot + c] = dOut[first + c]!;
    }
  };
};
