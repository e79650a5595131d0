import type { OpKind, PrimitiveKind, PrimitiveOp } from '@rwkv-ts/backend';
import { prepareActivateBackward } from './activate.backward.js';
import { prepareAddBackward } from './add.backward.js';
import type { BackwardContext, PrepareBackward } from './backward-context.js';
import { prepareBonus7Backward } from './bonus7.backward.js';
import type { Kernel } from './context.js';
import { prepareEmbedBackward } from './embed.backward.js';
import { prepareL2NormBackward } from './l2-norm.backward.js';
import { prepareLerpBackward } from './lerp.backward.js';
import { prepareMatmulBackward } from './matmul.backward.js';
import { prepareMulBackward } from './mul.backward.js';
import { prepareNormBackward } from './norm.backward.js';
import { prepareRowMatmulBackward } from './row-matmul.backward.js';
import { prepareScaleBackward } from './scale.backward.js';
import { prepareSelectRowsBackward } from './select-rows.backward.js';
import { prepareShiftBackward } from './shift.backward.js';
import { prepareSliceBackward } from './slice.backward.js';
import { prepareWkv4Backward } from './wkv4.backward.js';
import { prepareWkv6Backward } from './wkv6.backward.js';
import { prepareWkv7Backward } from './wkv7.backward.js';

/** Every primitive but `top-k`, whose numbers nothing learns from. */
export type TrainingOp = Exclude<PrimitiveOp, { readonly kind: 'top-k' }>;

const table: { readonly [K in Exclude<PrimitiveKind, 'top-k'>]: PrepareBackward<K> } = {
  embed: prepareEmbedBackward,
  'select-rows': prepareSelectRowsBackward,
  norm: prepareNormBackward,
  'l2-norm': prepareL2NormBackward,
  shift: prepareShiftBackward,
  lerp: prepareLerpBackward,
  matmul: prepareMatmulBackward,
  'row-matmul': prepareRowMatmulBackward,
  add: prepareAddBackward,
  mul: prepareMulBackward,
  scale: prepareScaleBackward,
  activate: prepareActivateBackward,
  slice: prepareSliceBackward,
  wkv4: prepareWkv4Backward,
  wkv6: prepareWkv6Backward,
  wkv7: prepareWkv7Backward,
  bonus7: prepareBonus7Backward,
};

/** Every op kind that has a backward. */
export const trainingKinds: ReadonlySet<OpKind> = new Set(
  Object.keys(table) as TrainingOp['kind'][],
);

export function prepareBackward(op: TrainingOp, context: BackwardContext): Kernel {
  return (table[op.kind] as (op: TrainingOp, context: BackwardContext) => Kernel)(op, context);
}
