/** A run in two chunks with gradients across the cut, as `Training` says how it is done. */
import type { AccumulateOptions, Training, TrainingBatch } from '@rwkv-ts/backend';

/** Keeps the states before the first chunk, beyond the slots of the sequences. */
const spare = 4;

export interface Chunks {
  readonly first: TrainingBatch;
  readonly second: TrainingBatch;
}

/**
 * Gives the losses of the first chunk evaluated, of the second and of the first accumulated. The states end where the first
 * chunk does, and initial gradients are collected. Nothing is awaited in between.
 */
export async function accumulateChunks(
  training: Training,
  { first, second }: Chunks,
  options: AccumulateOptions = {},
): Promise<readonly number[]> {
  const slots = [...first.slots];
  for (const slot of slots) {
    training.resetSlot(slot);
    training.copyStates(slot, spare + slot);
  }
  const losses = [training.evaluate(first), training.accumulate(second, options)];
  for (const slot of slots) training.copyStates(spare + slot, slot);
  losses.push(training.accumulate(first, options));
  for (const slot of slots) training.collectInitialGradients(slot);
  return Promise.all(losses);
}
