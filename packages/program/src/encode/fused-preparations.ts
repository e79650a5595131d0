import type { Op, OpOf, Program } from '@rwkv-ts/backend';
import { readsOf } from '../access.js';

/** Each prepare7 whose results only one time-mix7 reads, by the id of its key: the recurrence can make them head by head. */
export function fusedPreparations({ ops, output }: Program): Map<number, OpOf<'prepare7'>> {
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
