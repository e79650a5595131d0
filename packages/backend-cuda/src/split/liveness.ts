/** What lies between two ops of a program: the values that are written before and read after. */
import type { Op, Program, Value } from '@rwkv-ts/backend';
import { readsOf, writesOf } from '@rwkv-ts/program';

/** Of a position p between op p - 1 and op p; nothing crosses before the first op and after the last. */
export function liveValues({ ops }: Pick<Program, 'ops'>): readonly (readonly Value[])[] {
  const lastReads = new Map<number, number>();
  for (const [at, op] of ops.entries()) for (const { id } of readsOf(op)) lastReads.set(id, at);
  const live: Value[][] = [[]];
  let own: Value[] = [];
  for (const [at, op] of ops.entries()) {
    const written = distinct(op).filter(({ id }) => !own.some((value) => value.id === id));
    own = [...own, ...written].filter(({ id }) => (lastReads.get(id) ?? -1) > at);
    live.push(own);
  }
  return live;
}

const distinct = (op: Op): Value[] => [
  ...new Map(writesOf(op).map((each) => [each.id, each])).values(),
];

/** Numbers that cross for a token, as if every row were wanted. */
export const widthOf = (values: readonly Value[]): number =>
  values.reduce((sum, { width }) => sum + width, 0);

/** Of necks, against the narrowest: the residual, the first value and the embedded one are three. */
const mostWidening = 3;

/**
 * Where a program is narrow: positions at which fewer values live than at those around, and not many more than anywhere,
 * such as between its layers, or a layer's time mix and channel mix.
 */
export function necksOf(widths: readonly number[]): number[] {
  const necks = lowsOf(widths);
  const narrowest = Math.min(...necks.map((at) => widths[at]!));
  return necks.filter((at) => widths[at]! <= mostWidening * narrowest);
}

function lowsOf(widths: readonly number[]): number[] {
  const necks: number[] = [];
  const end = widths.length - 1;
  for (let first = 1; first < end;) {
    let after = first + 1;
    while (after < end && widths[after] === widths[first]) after++;
    const isLower = (neighbour: number) =>
      neighbour === 0 || neighbour === end || widths[neighbour]! > widths[first]!;
    if (isLower(first - 1) && isLower(after)) for (let at = first; at < after; at++) necks.push(at);
    first = after;
  }
  return necks;
}
