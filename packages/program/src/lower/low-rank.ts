import type { Op } from '@rwkv-ts/backend';
import { chain } from './chain.js';
import type { LowerRule } from './context.js';

/** The down projection with its activation, then the up projection, bias and outer activation. */
export const lowerLowRank: LowerRule<'low-rank'> = (op, context) => {
  const { x, inner, bias, outer } = op;
  const low = context.value(context.shapeOf(op.down)[0] ?? 0, x.rows);
  const down: Op =
    inner === undefined
      ? { kind: 'matmul', out: low, x, weight: op.down }
      : { kind: 'linear', out: low, x, weight: op.down, activation: inner };
  const up = chain(context, {
    x: low,
    out: op.out,
    links: [
      (x, out) => ({ kind: 'matmul', out, x, weight: op.up }),
      bias && ((x, out) => ({ kind: 'add', out, x, y: bias })),
      outer && ((x, out) => ({ kind: 'activate', out, x, activation: outer })),
    ],
  });
  return [down, ...up];
};
