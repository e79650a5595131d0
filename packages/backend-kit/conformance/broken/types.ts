import type { ConformanceGroup } from '../types.js';
import type { Fault } from './wrap.js';

/** A mistake that authors make, and the group that must notice. */
export interface BrokenBackend {
  readonly name: string;
  readonly group: ConformanceGroup;
  /** Cases that are run until one fails. Default: the whole group. */
  readonly cases?: RegExp;
  /** What the failure must say, so that it fails for the right reason. */
  readonly message: RegExp;
  readonly fault: () => Fault;
}
