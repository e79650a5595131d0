/** Rewrites coarse ops into primitives, so that a backend which has the primitives runs every program. */
import {
  BackendError,
  type CoarseKind,
  type CoarseOp,
  type Op,
  type OpKind,
  type Program,
} from '@rwkv-ts/backend';
import { readsOf, writesOf } from './access.js';
import type { LowerContext, LowerRule } from './lower/context.js';
import { lowerLinear } from './lower/linear.js';
import { lowerLowRank } from './lower/low-rank.js';
import { lowerPrepare7 } from './lower/prepare7.js';
import { lowerShiftMix } from './lower/shift-mix.js';
import { lowerShiftMix6 } from './lower/shift-mix6.js';
import { lowerTimeMix6 } from './lower/time-mix6.js';
import { lowerTimeMix7 } from './lower/time-mix7.js';

const rules: { readonly [K in CoarseKind]: LowerRule<K> } = {
  'shift-mix': lowerShiftMix,
  'shift-mix6': lowerShiftMix6,
  'low-rank': lowerLowRank,
  linear: lowerLinear,
  prepare7: lowerPrepare7,
  'time-mix6': lowerTimeMix6,
  'time-mix7': lowerTimeMix7,
};

/** The kinds `lower` can rewrite; all others are primitives. */
export const coarseKinds: ReadonlySet<CoarseKind> = new Set(Object.keys(rules) as CoarseKind[]);

function isCoarse(op: Op): op is CoarseOp {
  return Object.hasOwn(rules, op.kind);
}

/**
 * The same program with every coarse op outside `supported` rewritten into ops inside it. The input is not changed and
 * the result shares its unchanged parts; fresh values get the ids after the largest one in use, so equal inputs give
 * equal results, and lowering twice for the same set changes nothing more.
 * @throws BackendError `UNSUPPORTED_OP` when a primitive outside `supported` is needed
 */
export function lower(program: Program, supported: ReadonlySet<OpKind>): Program {
  const context = createContext(program);
  const ops: Op[] = [];
  const emit = (op: Op, index: number): void => {
    if (supported.has(op.kind)) ops.push(op);
    else if (isCoarse(op)) for (const part of rewrite(op, context)) emit(part, index);
    else throw unsupported({ op, index, supported });
  };
  for (const [index, op] of program.ops.entries()) emit(op, index);
  return { ...program, ops };
}

function rewrite(op: CoarseOp, context: LowerContext): Op[] {
  return (rules[op.kind] as (op: CoarseOp, context: LowerContext) => Op[])(op, context);
}

function createContext(program: Program): LowerContext {
  let nextId = -1;
  for (const op of program.ops) {
    for (const { id } of [...readsOf(op), ...writesOf(op)]) nextId = Math.max(nextId, id);
  }
  nextId = Math.max(nextId, program.output.id) + 1;
  const shapes = new Map(program.weights.map(({ name, shape }) => [name, shape]));
  return {
    value: (width, rows) => ({ id: nextId++, rows, width }),
    shapeOf(weight) {
      const shape = shapes.get(weight);
      if (shape) return shape;
      throw new BackendError({
        code: 'PROGRAM_INVALID',
        message: `An op names the weight ${weight}, which the program does not list.`,
        expected: weight,
      });
    },
  };
}

function unsupported({
  op,
  index,
  supported,
}: {
  op: Op;
  index: number;
  supported: ReadonlySet<OpKind>;
}): BackendError {
  return new BackendError({
    code: 'UNSUPPORTED_OP',
    message: `Op ${index} needs the op kind ${op.kind}, which the backend does not support; it supports ${[...supported].join(', ') || 'none'}.`,
    expected: [...supported],
    got: op.kind,
  });
}
