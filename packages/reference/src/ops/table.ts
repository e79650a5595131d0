import type { OpKind, PrimitiveKind, PrimitiveOp } from '@rwkv-ts/backend';
import { prepareActivate } from './activate.js';
import { prepareAdd } from './add.js';
import { prepareBonus7 } from './bonus7.js';
import type { Kernel, OpContext, Prepare } from './context.js';
import { prepareEmbed } from './embed.js';
import { prepareL2Norm } from './l2-norm.js';
import { prepareLerp } from './lerp.js';
import { prepareMatmul } from './matmul.js';
import { prepareMul } from './mul.js';
import { prepareNorm } from './norm.js';
import { prepareRowMatmul } from './row-matmul.js';
import { prepareScale } from './scale.js';
import { prepareSelectRows } from './select-rows.js';
import { prepareShift } from './shift.js';
import { prepareSlice } from './slice.js';
import { prepareTopK } from './top-k.js';
import { prepareChunkedWkv4 } from './wkv4.chunked.js';
import { prepareWkv4 } from './wkv4.js';
import { prepareChunkedWkv6 } from './wkv6.chunked.js';
import { prepareWkv6 } from './wkv6.js';
import { prepareChunkedWkv7 } from './wkv7.chunked.js';
import { prepareWkv7 } from './wkv7.js';

type OpTable = { readonly [K in PrimitiveKind]: Prepare<K> };

const recurrent: OpTable = {
  embed: prepareEmbed,
  'select-rows': prepareSelectRows,
  norm: prepareNorm,
  'l2-norm': prepareL2Norm,
  shift: prepareShift,
  lerp: prepareLerp,
  matmul: prepareMatmul,
  'row-matmul': prepareRowMatmul,
  add: prepareAdd,
  mul: prepareMul,
  scale: prepareScale,
  activate: prepareActivate,
  slice: prepareSlice,
  'top-k': prepareTopK,
  wkv4: prepareWkv4,
  wkv6: prepareWkv6,
  wkv7: prepareWkv7,
  bonus7: prepareBonus7,
};

/** Token after token, or chunks of tokens as matrix products with one state hand-over each. */
export type Form = 'recurrent' | 'chunked';

const tables: { readonly [F in Form]: OpTable } = {
  recurrent,
  chunked: {
    ...recurrent,
    wkv4: prepareChunkedWkv4,
    wkv6: prepareChunkedWkv6,
    wkv7: prepareChunkedWkv7,
  },
};

/** Every op kind this backend computes itself. */
export const primitiveKinds: ReadonlySet<OpKind> = new Set(
  Object.keys(recurrent) as PrimitiveKind[],
);

export function prepareOp(op: PrimitiveOp, form: Form, context: OpContext): Kernel {
  return (tables[form][op.kind] as (op: PrimitiveOp, context: OpContext) => Kernel)(op, context);
}
