import type { OpKind, Program } from '@rwkv-ts/backend';
import { lower } from '../lower.js';
import { opKinds } from '../access.js';

/** For kernels of time mixes that norm head by head: those with a norm over other groups become several ops. */
export function lowerHeadNorms(program: Program): Program {
  const odd = new Set<OpKind>();
  for (const op of program.ops) {
    if (op.kind !== 'time-mix6' && op.kind !== 'time-mix7') continue;
    if (op.norm.groups !== op.heads) odd.add(op.kind);
  }
  if (odd.size === 0) return program;
  return lower(program, new Set([...opKinds].filter((kind) => !odd.has(kind))));
}
