import type { CoarseKind, Op, OpOf, Value } from '@rwkv-ts/backend';

/** What a lowering rule needs besides its op. */
export interface LowerContext {
  /** A value that no op of the program uses yet. */
  value(width: number, rows: Value['rows']): Value;
  /**
   * The shape of a weight as the program lists it.
   * @throws BackendError `PROGRAM_INVALID` when the program does not list it
   */
  shapeOf(weight: string): readonly number[];
}

/**
 * Rewrites one coarse op into others that compute the same formula. A rule may use coarse kinds simpler than its own;
 * `lower` rewrites those further where the backend lacks them.
 */
export type LowerRule<Kind extends CoarseKind> = (op: OpOf<Kind>, context: LowerContext) => Op[];
