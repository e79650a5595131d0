import type { Op } from '@rwkv-ts/backend';
import type { LowerRule } from './context.js';

/** key = k ⊙ (1 + (rate - 1) ⊙ replacement) is written as the lerp from k to k ⊙ rate by replacement, the same polynomial. */
export const lowerPrepare7: LowerRule<'prepare7'> = (op, context) => {
  const { k, rate, a, b, key, heads, eps, residual } = op;
  const like = () => context.value(k.width, k.rows);
  const [removed, direction, rated] = [like(), like(), like()];
  const ops: Op[] = [
    { kind: 'mul', out: removed, x: k, y: op.removal },
    { kind: 'l2-norm', out: direction, x: removed, groups: heads, eps },
    { kind: 'scale', out: a, x: direction, factor: -1 },
    { kind: 'mul', out: b, x: direction, y: rate },
    { kind: 'mul', out: rated, x: k, y: rate },
    { kind: 'lerp', out: key, x: k, y: rated, by: op.replacement },
  ];
  if (residual) {
    const { v, first, amount, out } = residual;
    ops.push({ kind: 'lerp', out, x: v, y: first, by: amount });
  }
  return ops;
};
