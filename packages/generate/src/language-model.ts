/**
 * The model-level seam: tokens in, logits out. Everything above it (scheduler, sampling, chat) knows only this, so a
 * finished outside engine plugs in here, below tokens and above programs. The standard implementation is
 * `createLanguageModel` (program + backend).
 */
import type { Batch, Limits, Rows, StateSpec, States } from '@rwkv-ts/backend';

export interface LanguageModel extends AsyncDisposable {
  /** V: the width of a row of logits. Token ids are below it. */
  readonly vocabularySize: number;
  /** The largest batch `forward` accepts. */
  readonly limits: Limits;
  /** The blocks of one slot's state, in the order of a snapshot's bytes. */
  readonly stateSpecs: readonly StateSpec[];
  /** How many of the likeliest tokens a step gives where `Batch.candidates` asks for them. Absent: it cannot. */
  readonly candidates?: number | undefined;
  /** Identifies the weights: states move only between models of equal fingerprints. */
  readonly fingerprint: string;
  /** `slots` independent states, all reset. The handle is the caller's to dispose of. */
  createStates(slots: number): Promise<States>;
  /**
   * Advances the states of the batch's slots; gives logits [R, V] for the wanted tokens, or their candidates
   * [R, 2 candidates + 1] (the op `top-k`), which belong to the caller (in `batch.output` or memory of their own). Calls take effect in call order with the methods of `states`, which came from this model's `createStates`. The
   * batch's arrays may be reused as soon as the call returns.
   */
  forward(states: States, batch: Batch): Promise<Rows>;
  /** The logits [V] of a row of the last step on these states, if that gave candidates. There where `candidates` is. */
  outputRow?(states: States, row: number): Promise<Rows>;
}

/** Bytes of one slot's snapshot: f32, spec after spec. */
export function stateBytesOf(specs: readonly StateSpec[]): number {
  let elements = 0;
  for (const { shape } of specs) elements += shape.reduce((product, size) => product * size, 1);
  return elements * 4;
}
