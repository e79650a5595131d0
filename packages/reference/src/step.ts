import type { Batch, BatchEmbeddings } from '@rwkv-ts/backend';

/** The batch being run, as the ops see it. One object per executable, so that prepared ops need no lookup. */
export interface Step {
  /** T and R of this step. */
  readonly rows: { T: number; R: number };
  /** S of this step. */
  sequences: number;
  tokens: Uint32Array;
  starts: Uint32Array;
  slots: Uint32Array;
  wanted: Uint32Array;
  embeddings: BatchEmbeddings | undefined;
}

export function createStep(): Step {
  const none = new Uint32Array(0);
  return {
    rows: { T: 0, R: 0 },
    sequences: 0,
    tokens: none,
    starts: none,
    slots: none,
    wanted: none,
    embeddings: undefined,
  };
}

/** Makes `batch` the current one. */
export function loadStep(step: Step, batch: Batch): void {
  step.rows.T = batch.tokens.length;
  step.rows.R = batch.wanted.length;
  step.sequences = batch.slots.length;
  step.tokens = batch.tokens;
  step.starts = batch.starts;
  step.slots = batch.slots;
  step.wanted = batch.wanted;
  step.embeddings = batch.embeddings;
}

/** A copy that the caller's later changes do not reach. */
export function copyBatch(batch: Batch): Batch {
  const { tokens, starts, slots, wanted, embeddings, candidates = false } = batch;
  const copy = {
    candidates,
    tokens: tokens.slice(),
    starts: starts.slice(),
    slots: slots.slice(),
    wanted: wanted.slice(),
  };
  if (!embeddings) return copy;
  const { at, vectors } = embeddings;
  return { ...copy, embeddings: { at: at.slice(), vectors: vectors.slice() } };
}
