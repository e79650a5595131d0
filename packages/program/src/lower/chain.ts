import type { Op, Value } from '@rwkv-ts/backend';
import type { LowerContext } from './context.js';

/** One op of a chain, given the value before it and the value it must assign. */
export type Link = (x: Value, out: Value) => Op;

/** Runs `x` through the links in order; the last one assigns `out`, the others fresh values of out's shape. */
export function chain(
  context: LowerContext,
  { x, out, links }: { x: Value; out: Value; links: readonly (Link | undefined)[] },
): Op[] {
  const present = links.filter((link) => link !== undefined);
  let current = x;
  return present.map((link, index) => {
    const target = index === present.length - 1 ? out : context.value(out.width, out.rows);
    const op = link(current, target);
    current = target;
    return op;
  });
}
