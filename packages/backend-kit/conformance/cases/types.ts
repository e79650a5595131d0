import type { OpKind, Value } from '@rwkv-ts/backend';
import type { OpScope } from '../op-scope.js';

export interface OpVariant {
  readonly name: string;
  /** Adds inputs, weights and the op; returns the values to hold against the reference. */
  readonly build: (scope: OpScope) => readonly Value[];
  /** Multiplies the working part of the bound; a comment beside it says why. */
  readonly slack?: number;
  /**
   * Where a row's scale comes from. `inputs`: the inputs' magnitudes count too, for ops whose terms cancel.
   * Default `output`.
   */
  readonly scale?: 'inputs';
}

/** Sizes of a benchmark: a small model's. */
export interface BenchSize {
  readonly channels: number;
  readonly heads: number;
}

export interface OpCases<Kind extends OpKind> {
  readonly kind: Kind;
  readonly variants: readonly OpVariant[];
  /** Emits one op of the kind at the given size, with weights and states of its own. */
  readonly bench: (scope: OpScope, inputs: (width: number) => Value, size: BenchSize) => void;
}
