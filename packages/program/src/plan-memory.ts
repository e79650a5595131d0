/** Places every value of a program in one arena, sharing memory between values that are never alive together. */
import type { Limits, Op, Program, Value } from '@rwkv-ts/backend';
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

/**
 * A value lives from the op that assigns it to the last op that reads it, both included, so an op never writes over what
 * it reads; the output lives to the end. Values are placed in program order into the smallest gap that fits.
 */
export function planMemory(program: Program, options: MemoryPlanOptions): MemoryPlan {
  const { limits, alignment = 256, elementBytes = 4, scratchBytes } = options;
  const align = (bytes: number): number => Math.ceil(bytes / alignment) * alignment;
  const sizeOf = ({ rows, width }: Value): number =>
    align((rows === 'T' ? limits.tokens : limits.wanted) * width * elementBytes);
  const arena = new Arena();
  const offsets = new Map<number, number>();
  const scratch = new Map<number, number>();
  const dying = valuesByLastUse(program);
  for (const [index, op] of program.ops.entries()) {
    for (const value of writesOf(op)) offsets.set(value.id, arena.take(sizeOf(value)));
    const own = align(scratchBytes?.(op, index) ?? 0);
    if (own > 0) {
      const offset = arena.take(own);
      scratch.set(index, offset);
      arena.give({ offset, bytes: own });
    }
    for (const value of dying[index] ?? []) {
      arena.give({ offset: offsets.get(value.id) ?? 0, bytes: sizeOf(value) });
    }
  }
  return { offsets, scratch, bytes: arena.bytes };
}

/** Per op, the values that no later op needs. The output appears nowhere. */
function valuesByLastUse({ ops, output }: Program): Value[][] {
  const dying: Value[][] = ops.map(() => []);
  const seen = new Set([output.id]);
  for (let index = ops.length - 1; index >= 0; index--) {
    const op = ops[index]!;
    for (const value of [...readsOf(op), ...writesOf(op)]) {
      if (seen.has(value.id)) continue;
      seen.add(value.id);
      dying[index]?.push(value);
    }
  }
  return dying;
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
