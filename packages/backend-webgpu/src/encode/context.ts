import type { OpOf, Operand } from '@rwkv-ts/backend';
import { isValue, stepWords } from '@rwkv-ts/program';
import type { Graph } from './graph.js';

export interface EncodeContext {
  readonly graph: Graph;
  /** The prepare7 that a time-mix7 does itself, by the id of its key. */
  readonly fused: ReadonlyMap<number, OpOf<'prepare7'>>;
}

/** Which word of the header counts a node's rows. */
export const rowsWord = (rows: 'T' | 'R'): number =>
  rows === 'T' ? stepWords.tokens : stepWords.wanted;
export const kindOf = (operand: Operand): 'view' | 'parameter' =>
  isValue(operand) ? 'view' : 'parameter';
