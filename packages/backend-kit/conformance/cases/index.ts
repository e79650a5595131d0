/** The cases of every op kind. The type makes a forgotten one a compile error. */
import type { OpKind } from '@rwkv-ts/backend';
import { activate } from './activate.js';
import { add } from './add.js';
import { bonus7 } from './bonus7.js';
import { embed } from './embed.js';
import { l2Norm } from './l2-norm.js';
import { lerp } from './lerp.js';
import { linear } from './linear.js';
import { lowRank } from './low-rank.js';
import { matmul } from './matmul.js';
import { mul } from './mul.js';
import { norm } from './norm.js';
import { prepare7 } from './prepare7.js';
import { rowMatmul } from './row-matmul.js';
import { scale } from './scale.js';
import { selectRows } from './select-rows.js';
import { shift } from './shift.js';
import { shiftMix } from './shift-mix.js';
import { shiftMix6 } from './shift-mix6.js';
import { slice } from './slice.js';
import { timeMix6 } from './time-mix6.js';
import { timeMix7 } from './time-mix7.js';
import { topK } from './top-k.js';
import type { OpCases } from './types.js';
import { wkv4 } from './wkv4.js';
import { wkv6 } from './wkv6.js';
import { wkv7 } from './wkv7.js';

export const opCaseTable: { readonly [K in OpKind]: OpCases<K> } = {
  embed,
  'select-rows': selectRows,
  norm,
  'l2-norm': l2Norm,
  shift,
  lerp,
  matmul,
  'row-matmul': rowMatmul,
  add,
  mul,
  scale,
  activate,
  slice,
  'top-k': topK,
  wkv4,
  wkv6,
  wkv7,
  bonus7,
  'shift-mix': shiftMix,
  'shift-mix6': shiftMix6,
  'low-rank': lowRank,
  linear,
  prepare7,
  'time-mix6': timeMix6,
  'time-mix7': timeMix7,
};
