/** Ways to change programs, for faults that sit in a kernel. */
import type { Op, OpKind, OpOf, Program, Value } from '@rwkv-ts/backend';
import { lower, readsOf, writesOf } from '@rwkv-ts/program';
import { primitiveKinds } from '../session.js';

export type Fresh = (like: Value) => Value;

/** Replaces every op of one kind, coarse ops lowered first, so that the fault is everywhere the kernel would be. */
export function replaceOps<Kind extends OpKind>(
  kind: Kind,
  replace: (op: OpOf<Kind>, fresh: Fresh) => readonly Op[],
): (program: Program) => Program {
  return (program) => {
    const lowered = lower(program, primitiveKinds);
    let nextId = 1 + Math.max(...lowered.ops.flatMap((op) => writesOf(op).map(({ id }) => id)));
    const fresh: Fresh = ({ rows, width }) => ({ id: nextId++, rows, width });
    const ops = lowered.ops.flatMap((op): readonly Op[] =>
      op.kind === kind ? replace(op as OpOf<Kind>, fresh) : [op],
    );
    return { ...lowered, ops };
  };
}

/** The same data with every object for which `change` returns something replaced by that. */
export function deepMap<Data>(data: Data, change: (value: object) => object | undefined): Data {
  if (Array.isArray(data)) return data.map((item: unknown) => deepMap(item, change)) as Data;
  if (typeof data !== 'object' || data === null) return data;
  const changed = change(data);
  if (changed) return changed as Data;
  const entries = Object.entries(data).map(([key, value]) => [
    key,
    deepMap(value as unknown, change),
  ]);
  return Object.fromEntries(entries) as Data;
}

/** Reads of `from` in an op become reads of `to`. */
export function readInstead(op: Op, from: Value, to: Value): Op {
  if (!readsOf(op).some(({ id }) => id === from.id)) return op;
  return deepMap(op, (value) => ('id' in value && value.id === from.id ? to : undefined));
}
