import type { Prepare } from './context.js';

/**
 * RWKV-4 attention, per channel (arXiv:2305.13048, section 3.1 and appendix D); k, v, out [T, C].
 *
 * state [3, C]: sums a and b, both scaled by e^{-p}, and p, the largest exponent so far, so that no exponential
 * overflows:
 *
 *     q = max(p, first + k);   out = (e^{p-q} a + e^{first+k-q} v) / (e^{p-q} b + e^{first+k-q})
 *     q = max(p + decay, k);   a ← e^{p+decay-q} a + e^{k-q} v;   b ← e^{p+decay-q} b + e^{k-q};   p ← q
 */
export const prepareWkv4: Prepare<'wkv4'> = (op, context) => {
  const { step } = context;
  const { width } = op.out;
  const k = context.value(op.k);
  const v = context.value(op.v);
  const out = context.value(op.out);
  const decay = context.parameter(op.decay);
  const first = context.parameter(op.first);
  const { values: state, size } = context.state(op.state);
  return () => {
    for (let s = 0; s < step.sequences; s++) {
      const aRow = step.slots[s]! * size;
      const bRow = aRow + width;
      const pRow = bRow + width;
      for (let t = step.starts[s]!; t < step.starts[s + 1]!; t++) {
        for (let c = 0; c < width; c++) {
          const a = state[aRow + c]!;
          const b = state[bRow + c]!;
          const p = state[pRow + c]!;
          const key = k[t * width + c]!;
          const value = v[t * width + c]!;

          const bonus = first[c]! + key;
          let q = Math.max(p, bonus);
          let past = Math.exp(p - q);
          let now = Math.exp(bonus - q);
          out[t * width + c] = (past * a + now * value) / (past * b + now);

          const decayed = p + decay[c]!;
          q = Math.max(decayed, key);
          past = Math.exp(decayed - q);
          now = Math.exp(key - q);
          state[aRow + c] = past * a + now * value;
          state[bRow + c] = past * b + now;
          state[pRow + c] = q;
        }
      }
    }
  };
};
