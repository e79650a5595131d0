import type { Op } from '@rwkv-ts/backend';
import type { LowerRule } from './context.js';

/** norm, shift, one lerp per mix. Mixing toward the current token swaps the ends of the lerp. */
export const lowerShiftMix: LowerRule<'shift-mix'> = (op, context) => {
  const normed = op.normed ?? context.value(op.x.width, op.x.rows);
  const shifted = op.shifted ?? context.value(op.x.width, op.x.rows);
  const [x, y] = op.toward === 'previous' ? [normed, shifted] : [shifted, normed];
  return [
    { kind: 'norm', out: normed, x: op.x, ...op.norm },
    { kind: 'shift', out: shifted, x: normed, state: op.state },
    ...op.mixes.map(({ out, by }): Op => ({ kind: 'lerp', out, x, y, by })),
  ];
};
