import { addLine, operandGradient, type PrepareBackward } from './backward-context.js';
import { createStateWalk } from './state-walk.js';
import { decayOf } from './wkv6.js';

/**
 * The derivative of RWKV-5 and RWKV-6 attention, per head; r, k, v, out [T, C], S [H, N(key), N(value)], i the key index
 * and j the value index. With S of before a token and dS of after it, and e = Σ_j dout_j v_j:
 *
 *     dr_i += first_i k_i e + Σ_j S_ij dout_j;   dfirst_i += r_i k_i e
 *     dk_i += r_i first_i e + Σ_j dS_ij v_j;     ddecay_i += Σ_j dS_ij S_ij
 *     dv_j += dout_j Σ_i r_i first_i k_i + Σ_i dS_ij k_i
 *     dS_ij ← decay_i dS_ij + r_i dout_j
 */
export const prepareWkv6Backward: PrepareBackward<'wkv6'> = (op, context) => {
  const { heads } = op;
  const { width } = op.out;
  const n = width / heads;
  const r = context.value(op.r);
  const k = context.value(op.k);
  const v = context.value(op.v);
  const { numbers: decay, stride } = decayOf(op, context);
  const first = context.parameter(op.first, width);
  const dOut = context.outGradient(op.out);
  const dr = context.gradient(op.r);
  const dk = context.gradient(op.k);
  const dv = context.gradient(op.v);
  const dDecay = operandGradient(op.decay, { context, width })?.numbers;
  const dFirst = context.parameterGradient(op.first, width);
  const lineV = context.scratch(n);
  const walk = createStateWalk({ state: op.state, heads, n }, context);
  return () => {
    walk({
      advance(states, at, { t, h }) {
        const row = t * width + h * n;
        for (let i = 0; i < n; i++) {
          const di = decay[t * stride + h * n + i]!;
          for (let j = 0; j < n; j++) {
            const cell = at + i * n + j;
            states[cell] = k[row + i]! * v[row + j]! + di * states[cell]!;
          }
        }
      },
      visit({ t, h }, { states, before, gradient }) {
        const row = t * width + h * n;
        let e = 0;
        for (let j = 0; j < n; j++) e += dOut[row + j]! * v[row + j]!;
        lineV.fill(0);
        for (let i = 0; i < n; i++) {
          const [ri, ki, ui] = [r[row + i]!, k[row + i]!, first[h * n + i]!];
          const di = decay[t * stride + h * n + i]!;
          let read = 0;
          let written = 0;
          let decayed = 0;
          for (let j = 0; j < n; j++) {
            const old = states[before + i * n + j]!;
            const d = gradient[i * n + j]!;
            const dj = dOut[row + j]!;
            read += old * dj;
            written += d * v[row + j]!;
            decayed += d * old;
            lineV[j]! += dj * ri * ui * ki + d * ki;
            gradient[i * n + j] = di * d + ri * dj;
          }
          if (dr) dr[row + i]! += ui * ki * e + read;
          if (dk) dk[row + i]! += ri * ui * e + written;
          if (dDecay) dDecay[t * stride + h * n + i]! += decayed;
          if (dFirst) dFirst[h * n + i]! += ri * ki * e;
        }
        addLine(dv, row, lineV);
      },
    });
  };
};
