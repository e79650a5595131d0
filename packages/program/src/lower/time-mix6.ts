import { chain } from './chain.js';
import type { LowerRule } from './context.js';

/** wkv6, the per-head norm, the gate where given. */
export const lowerTimeMix6: LowerRule<'time-mix6'> = (op, context) => {
  const { r, k, v, decay, first, heads, state, norm, gate } = op;
  return chain(context, {
    x: r,
    out: op.out,
    links: [
      (_, out) => ({ kind: 'wkv6', out, r, k, v, decay, first, heads, state }),
      (x, out) => ({ kind: 'norm', out, x, ...norm }),
      gate && ((x, out) => ({ kind: 'mul', out, x, y: gate })),
    ],
  });
};
