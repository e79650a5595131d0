import type { Backend, OpKind, WeightFormat } from '@rwkv-ts/backend';

/** In the order in which an author wants to fail. */
export const conformanceGroups = [
  'manifest',
  'ops',
  'formats',
  'state',
  'ragged',
  'models',
  'sizes',
  'lifecycle',
  'errors',
  'training',
] as const;
export type ConformanceGroup = (typeof conformanceGroups)[number];

export interface ConformanceOptions {
  /** Called afresh for every group, and for every case that disposes of its backend. */
  readonly create: () => Backend | Promise<Backend>;
  /** Default: all. Ignored in bench mode. */
  readonly groups?: readonly ConformanceGroup[];
  /** `bench` runs the same ops at model size, for time instead of truth. Default `test`. */
  readonly mode?: 'test' | 'bench';
  /** Receives each measurement in bench mode. Default: a line on the console. */
  readonly report?: (result: BenchResult) => void;
}

export interface BenchResult {
  readonly kind: OpKind;
  /** How the matrices of the op were stored; f32 for ops without one. */
  readonly format: WeightFormat;
  readonly tokens: number;
  /** Of one op, without what a run costs anyway. */
  readonly milliseconds: number;
  /** Weights, activations and states that the op must move, divided by the time. */
  readonly gigabytesPerSecond: number;
}

export interface CaseOutcome {
  /** Why the case did not apply: something `supports` does not claim. Absent when the case passed. */
  readonly skipped?: string;
}

export interface ConformanceCase {
  readonly group: ConformanceGroup | 'bench';
  readonly name: string;
  /** Rejects with a `ConformanceError`, or with what the backend threw, when the backend is wrong. */
  readonly run: () => Promise<CaseOutcome>;
}

/** What a case is given. */
export interface CaseContext {
  /** Shared by the cases of a group, which therefore leave it as they found it. */
  readonly backend: Backend;
  /** A fresh backend, disposed of after the case. */
  readonly create: () => Promise<Backend>;
  /** Ends the case as not applicable. */
  readonly skip: (reason: string) => never;
}

export interface CaseDefinition {
  readonly name: string;
  readonly run: (context: CaseContext) => Promise<void>;
}
