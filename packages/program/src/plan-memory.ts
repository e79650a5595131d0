/** Places every value of a program in one arena, sharing memory between values that are never alive together. */
import type { Limits, Op, Program } from '@rwkv-ts/backend';
import { readsOf, writesOf } from './access.js';

export interface MemoryPlanOptions {
  /** The largest step the arena must hold. */
  readonly limits: Pick<Limits, 'tokens' | 'wanted'>;
  /** Every offset is a multiple of this many bytes. Default 256. */
  readonly alignment?: number;
  /** Bytes of one number. Default 4. */
  readonly elementBytes?: number;
  /** Bytes an op needs for itself while it runs. Default none. */
  readonly scratchBytes?: (op: Op, index: number) => number;
}

export interface MemoryPlan {
  /** Byte offset of each value, by id. A value is contiguous: its rows, then its width. */
  readonly offsets: ReadonlyMap<number, number>;
  /** Byte offset of each op's scratch memory, by op index, for ops that asked for any. */
  readonly scratch: ReadonlyMap<number, number>;
  /** Size of the arena. */
  readonly bytes: number;
}

/** Something that needs memory from step `first` to step `last`, both included. */
export interface Interval {
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
}

/**
 * Places intervals in one stretch of memory so that those alive together do not overlap: in the order of their first
 * steps, each into the smallest gap that fits. An interval of 0 bytes is placed at 0.
 */
export function placeIntervals(
  intervals: readonly Interval[],
  { alignment = 256 }: { readonly alignment?: number } = {},
): { offsets: number[]; bytes: number } {
  const align = (bytes: number): number => Math.ceil(bytes / alignment) * alignment;
  const arena = new Arena();
  const offsets = intervals.map(() => 0);
  const events = intervals.flatMap((interval, index) => [
    { at: interval.first, ends: false, index },
    { at: interval.last, ends: true, index },
  ]);
  // Sorting is stable: of one step, what begins comes before what ends, in the given order.
  events.sort((a, b) => a.at - b.at || Number(a.ends) - Number(b.ends));
  for (const { ends, index } of events) {
    const bytes = align(intervals[index]!.bytes);
    if (ends) arena.give({ offset: offsets[index]!, bytes });
    else offsets[index] = arena.take(bytes);
  }
  return { offsets, bytes: arena.bytes };
}

/**
 * A value lives from the op that assigns it to the last op that reads it, both included, so an op never writes over what
 * it reads; the output and the candidates live to the end.
 */
export function planMemory(program: Program, options: MemoryPlanOptions): MemoryPlan {
  const { limits, alignment = 256, elementBytes = 4, scratchBytes } = options;
  const intervals: Interval[] = [];
  const owners: { readonly into: Map<number, number>; readonly key: number }[] = [];
  const offsets = new Map<number, number>();
  const scratch = new Map<number, number>();
  const lastUses = lastUseOfValues(program);
  for (const [index, op] of program.ops.entries()) {
    for (const { id, rows, width } of writesOf(op)) {
      const bytes = (rows === 'T' ? limits.tokens : limits.wanted) * width * elementBytes;
      intervals.push({ bytes, first: index, last: lastUses.get(id) ?? index });
      owners.push({ into: offsets, key: id });
    }
    const own = scratchBytes?.(op, index) ?? 0;
    if (own === 0) continue;
    intervals.push({ bytes: own, first: index, last: index });
    owners.push({ into: scratch, key: index });
  }
  const placed = placeIntervals(intervals, { alignment });
  for (const [at, { into, key }] of owners.entries()) into.set(key, placed.offsets[at]!);
  return { offsets, scratch, bytes: placed.bytes };
}

/** Per value, the index of the last op that needs it. */
function lastUseOfValues({ ops, output, candidates }: Program): Map<number, number> {
  const uses = new Map<number, number>();
  for (const [index, op] of ops.entries()) {
    for (const { id } of [...readsOf(op), ...writesOf(op)]) uses.set(id, index);
  }
  if (candidates) uses.set(candidates.id, ops.length);
  return uses.set(output.id, ops.length);
}

interface Block {
  readonly offset: number;
  readonly bytes: number;
}

/** A growing stretch of memory with a free list, ordered by offset and without touching neighbours. */
class Arena {
  readonly #free: Block[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  take(bytes: number): number {
    if (bytes === 0) return 0;
    const best = this.#bestFit(bytes);
    if (best === -1) return this.#grow(bytes);
    const block = this.#free[best]!;
    const rest = { offset: block.offset + bytes, bytes: block.bytes - bytes };
    this.#free.splice(best, 1, ...(rest.bytes > 0 ? [rest] : []));
    return block.offset;
  }

  give(block: Block): void {
    if (block.bytes === 0) return;
    let at = this.#free.findIndex(({ offset }) => offset > block.offset);
    if (at === -1) at = this.#free.length;
    const before = this.#free[at - 1];
    const after = this.#free[at];
    const joinsBefore = before && before.offset + before.bytes === block.offset;
    const joinsAfter = after && block.offset + block.bytes === after.offset;
    const offset = joinsBefore ? before.offset : block.offset;
    const end = joinsAfter ? after.offset + after.bytes : block.offset + block.bytes;
    this.#free.splice(joinsBefore ? at - 1 : at, (joinsBefore ? 1 : 0) + (joinsAfter ? 1 : 0), {
      offset,
      bytes: end - offset,
    });
  }

  #bestFit(bytes: number): number {
    let best = -1;
    for (const [index, block] of this.#free.entries()) {
      if (block.bytes >= bytes && (best === -1 || block.bytes < this.#free[best]!.bytes)) {
        best = index;
      }
    }
    return best;
  }

  /** Uses a free block at the very end, where there is one, as the start. */
  #grow(bytes: number): number {
    const last = this.#free.at(-1);
    const joins = last && last.offset + last.bytes === this.#bytes;
    if (joins) this.#free.pop();
    const offset = joins ? last.offset : this.#bytes;
    this.#bytes = offset + bytes;
    return offset;
  }
}
