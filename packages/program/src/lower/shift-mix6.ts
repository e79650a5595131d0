import type { Op } from '@rwkv-ts/backend';
import type { LowerRule } from './context.js';

/** A shift-mix toward `base`, the shared down projection, then per mix: its slice, its up projection, its lerp. */
export const lowerShiftMix6: LowerRule<'shift-mix6'> = (op, context) => {
  const { x, mixes } = op;
  const like = (width: number) => context.value(width, x.rows);
  const total = context.shapeOf(op.down)[0] ?? 0;
  const rank = total / mixes.length;
  const [normed, shifted, based, low] = [like(x.width), like(x.width), like(x.width), like(total)];
  const head: Op[] = [
    {
      kind: 'shift-mix',
      x,
      norm: op.norm,
      state: op.state,
      toward: 'previous',
      mixes: [{ out: based, by: op.base }],
      normed,
      shifted,
    },
    { kind: 'linear', out: low, x: based, weight: op.down, activation: 'tanh' },
  ];
  const tail = mixes.flatMap(({ out, by, up }, index): Op[] => {
    const [part, wide, amount] = [like(rank), like(x.width), like(x.width)];
    return [
      { kind: 'slice', out: part, x: low, start: index * rank },
      { kind: 'matmul', out: wide, x: part, weight: up },
      { kind: 'add', out: amount, x: wide, y: by },
      { kind: 'lerp', out, x: normed, y: shifted, by: amount },
    ];
  });
  return [...head, ...tail];
};
