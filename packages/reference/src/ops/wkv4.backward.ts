import type { PrepareBackward } from './backward-context.js';

/**
 * The derivative of RWKV-4 attention, per channel; k, v, out [T, C], state [3, C]: a, b and p.
 *
 * The loss depends on the sums A = a e^p and B = b e^p alone: another p with a and b to match gives the same outputs
 * forever. So dp = a da + b db at every token, and the two maxima q, which only choose such a p, contribute nothing; they
 * are held fixed in all derivatives. With the a, b, p of before a token and da, db of after it:
 *
 *     past = e^{p+decay-q}, now = e^{k-q}      (the state's q)
 *     dnow = v da + db;   dpast = a da + b db
 *     dv += now da;   dk += now dnow;   ddecay += past dpast;   da ← past da;   db ← past db
 *
 *     past = e^{p-q}, now = e^{first+k-q}      (the output's q; out = numerator / denominator)
 *     dnumerator = dout / denominator;   ddenominator = -out dnumerator
 *     dv += now dnumerator;   dk, dfirst += now (v dnumerator + ddenominator)
 *     da += past dnumerator;   db += past ddenominator
 *
 * The states before every token are computed again from the one before the step: three numbers a token, for one channel
 * at a time.
 */
export const prepareWkv4Backward: PrepareBackward<'wkv4'> = (op, context) => {
  const { step } = context;
  const { width } = op.out;
  const k = context.value(op.k);
  const v = context.value(op.v);
  const decay = context.parameter(op.decay);
  const first = context.parameter(op.first);
  const before = context.stateBefore(op.state);
  const states = context.stateScratch(3 * (context.mostTokens + 1));
  const dOut = context.outGradient(op.out);
  const dk = context.gradient(op.k);
  const dv = context.gradient(op.v);
  const dDecay = context.parameterGradient(op.decay, width);
  const dFirst = context.parameterGradient(op.first, width);
  const { values: dState, size } = context.stateGradient(op.state);

  /** states[t - start] = a, b, p before token t. */
  const recompute = (c: number, { start, end }: { start: number; end: number }): void => {
    for (let t = start; t < end; t++) {
      const at = 3 * (t - start);
      const [a, b, p] = [states[at]!, states[at + 1]!, states[at + 2]!];
      const decayed = p + decay[c]!;
      const key = k[t * width + c]!;
      const q = Math.max(decayed, key);
      const past = Math.exp(decayed - q);
      const now = Math.exp(key - q);
      states[at + 3] = past * a + now * v[t * width + c]!;
      states[at + 4] = past * b + now;
      states[at + 5] = q;
    }
  };

  return () => {
    for (let s = 0; s < step.sequences; s++) {
      const [start, end] = [step.starts[s]!, step.starts[s + 1]!];
      for (let c = 0; c < width; c++) {
        for (let row = 0; row < 3; row++) states[row] = before[s * size + row * width + c]!;
        recompute(c, { start, end });
        const slot = step.slots[s]! * size + c;
        let da = dState[slot]!;
        let db = dState[slot + width]!;
        for (let t = end - 1; t >= start; t--) {
          const at = 3 * (t - start);
          const [a, b, p] = [states[at]!, states[at + 1]!, states[at + 2]!];
          const key = k[t * width + c]!;
          const value = v[t * width + c]!;

          const decayed = p + decay[c]!;
          let q = Math.max(decayed, key);
          let past = Math.exp(decayed - q);
          let now = Math.exp(key - q);
          let dValue = now * da;
          let dKey = now * (value * da + db);
          if (dDecay) dDecay[c]! += past * (a * da + b * db);
          da *= past;
          db *= past;

          const bonus = first[c]! + key;
          q = Math.max(p, bonus);
          past = Math.exp(p - q);
          now = Math.exp(bonus - q);
          const denominator = past * b + now;
          const dNumerator = dOut[t * width + c]! / denominator;
          const dDenominator = (-dNumerator * (past * a + now * value)) / denominator;
          const dBonus = now * (value * dNumerator + dDenominator);
          if (dFirst) dFirst[c]! += dBonus;
          dKey += dBonus;
          dValue += now * dNumerator;
          da += past * dNumerator;
          db += past * dDenominator;
          if (dk) dk[t * width + c]! += dKey;
          if (dv) dv[t * width + c]! += dValue;
        }
        dState[slot] = da;
        dState[slot + width] = db;
        dState[slot + 2 * width] = states[0]! * da + states[1]! * db;
      }
    }
  };
};
