import type { Limits, OpOf } from '@rwkv-ts/backend';
import type { Graph } from './graph.js';

export interface EncodeContext {
  readonly graph: Graph;
  readonly limits: Limits;
  /** The prepare7 that a time-mix7 does itself, by the id of its key. */
  readonly fused: ReadonlyMap<number, OpOf<'prepare7'>>;
}
