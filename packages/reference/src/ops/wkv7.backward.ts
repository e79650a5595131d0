import { addLine, type PrepareBackward } from './backward-context.js';
import { createStateWalk } from './state-walk.js';

/**
 * The derivative of RWKV-7 attention, per head; r, w, k, v, a, b, out [T, C], S [H, N(value), N(key)], i the value index and
 * j the key index. S is the state before a token, S' = S diag(w) + z bᵀ + v kᵀ with z = S a the one after it, out = S' r;
 * dS' comes from the tokens after:
 *
 *     dS' ← dS' + dout rᵀ;   dr += S'ᵀ dout
 *     dv += dS' k;   dk += dS'ᵀ v;   dz = dS' b;   db += dS'ᵀ z
 *     dw_j += Σ_i dS'_ij S_ij;   da += Sᵀ dz
 *     dS ← dS' diag(w) + dz aᵀ
 */
export const prepareWkv7Backward: PrepareBackward<'wkv7'> = (op, context) => {
  const { heads } = op;
  const { width } = op.out;
  const n = width / heads;
  const r = context.value(op.r);
  const w = context.value(op.w);
  const k = context.value(op.k);
  const v = context.value(op.v);
  const a = context.value(op.a);
  const b = context.value(op.b);
  const dOut = context.outGradient(op.out);
  const dr = context.gradient(op.r);
  const dw = context.gradient(op.w);
  const dk = context.gradient(op.k);
  const dv = context.gradient(op.v);
  const da = context.gradient(op.a);
  const db = context.gradient(op.b);
  const line = (): Float64Array => context.scratch(n);
  const [lineR, lineW, lineK, lineA, lineB] = [line(), line(), line(), line(), line()];
  const walk = createStateWalk({ state: op.state, heads, n }, context);
  return () => {
    walk({
      advance(states, at, { t, h }) {
        const row = t * width + h * n;
        for (let i = 0; i < n; i++) {
          const start = at + i * n;
          let z = 0;
          for (let j = 0; j < n; j++) z += states[start + j]! * a[row + j]!;
          const vi = v[row + i]!;
          for (let j = 0; j < n; j++) {
            states[start + j] =
              states[start + j]! * w[row + j]! + z * b[row + j]! + vi * k[row + j]!;
          }
        }
      },
      visit({ t, h }, { states, before, after, gradient }) {
        const row = t * width + h * n;
        for (const sums of [lineR, lineW, lineK, lineA, lineB]) sums.fill(0);
        for (let i = 0; i < n; i++) {
          const old = before + i * n;
          const next = after + i * n;
          const vi = v[row + i]!;
          const di = dOut[row + i]!;
          let z = 0;
          let dz = 0;
          let dvi = 0;
          for (let j = 0; j < n; j++) {
            const d = gradient[i * n + j]! + di * r[row + j]!;
            gradient[i * n + j] = d;
            z += states[old + j]! * a[row + j]!;
            dz += d * b[row + j]!;
            dvi += d * k[row + j]!;
          }
          if (dv) dv[row + i]! += dvi;
          for (let j = 0; j < n; j++) {
            const d = gradient[i * n + j]!;
            lineR[j]! += states[next + j]! * di;
            lineK[j]! += d * vi;
            lineB[j]! += d * z;
            lineW[j]! += d * states[old + j]!;
            lineA[j]! += dz * states[old + j]!;
            gradient[i * n + j] = d * w[row + j]! + dz * a[row + j]!;
          }
        }
        addLine(dr, row, lineR);
        addLine(dw, row, lineW);
        addLine(dk, row, lineK);
        addLine(da, row, lineA);
        addLine(db, row, lineB);
      },
    });
  };
};
