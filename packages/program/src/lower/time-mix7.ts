import type { LowerRule } from './context.js';

/** (norm(wkv7) + bonus7) ⊙ gate. */
export const lowerTimeMix7: LowerRule<'time-mix7'> = (op, context) => {
  const { r, w, k, v, a, b, heads, state, norm, bonus, gate, out } = op;
  const like = () => context.value(out.width, out.rows);
  const [attended, normed, current, sum] = [like(), like(), like(), like()];
  return [
    { kind: 'wkv7', out: attended, r, w, k, v, a, b, heads, state },
    { kind: 'norm', out: normed, x: attended, ...norm },
    { kind: 'bonus7', out: current, r, k, v, by: bonus, heads },
    { kind: 'add', out: sum, x: normed, y: current },
    { kind: 'mul', out, x: sum, y: gate },
  ];
};
