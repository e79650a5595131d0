/** What of a program a kernel does on the way. */
import type { Op, OpKind, OpOf, Program } from '@rwkv-ts/backend';
import { lower, opKinds, readsOf } from '@rwkv-ts/program';

/** Each prepare7 whose results only one time-mix7 reads, by the id of its key: the recurrence makes them head by head. */
export function findFused({ ops, output }: Program): Map<number, OpOf<'prepare7'>> {
  const readers = new Map<number, Op[]>();
  for (const op of ops) {
    for (const { id } of readsOf(op)) readers.set(id, [...(readers.get(id) ?? []), op]);
  }
  const fused = new Map<number, OpOf<'prepare7'>>();
  for (const op of ops) {
    if (op.kind !== 'prepare7') continue;
    const reader = readers.get(op.key.id)?.[0];
    if (reader?.kind !== 'time-mix7' || reader.heads !== op.heads) continue;
    const { residual } = op;
    const results = [op.key, op.a, op.b, ...(residual ? [residual.out] : [])];
    const wanted = [reader.k, reader.a, reader.b, ...(residual ? [reader.v] : [])];
    const fits = results.every(
      ({ id }, index) =>
        wanted[index]?.id === id && readers.get(id)?.length === 1 && id !== output.id,
    );
    if (fits) fused.set(op.key.id, op);
  }
  return fused;
}

/** Kernels of the time mixes norm each head; norms over other groups are left to a kernel of their own. */
export function lowerForKernels(program: Program): Program {
  const odd = new Set<OpKind>();
  for (const op of program.ops) {
    if (op.kind !== 'time-mix6' && op.kind !== 'time-mix7') continue;
    if (op.norm.groups !== op.heads) odd.add(op.kind);
  }
  if (odd.size === 0) return program;
  return lower(program, new Set([...opKinds].filter((kind) => !odd.has(kind))));
}
