/** Forward and backward over samples that are longer than a run of the backend. */
import type { AccumulateOptions, Training } from '@rwkv-ts/backend';
import { chunkBatch, chunksOf, type Lane } from './chunk-batch.js';

export interface PassOptions {
  readonly training: Training;
  /** Tokens of a chunk, for each lane. */
  readonly chunk: number;
}

export interface LearnOptions extends PassOptions {
  readonly accumulate: AccumulateOptions;
  /**
   * Slots in which the states before each chunk wait, for gradients through the cuts: chunk c of lane i in
   * `kept[c · lanes + i]`. None: gradients stop at every cut.
   */
  readonly kept?: readonly number[] | undefined;
  /** Whether initial states learn. */
  readonly initial: boolean;
}

const longest = (lanes: readonly Lane[], chunk: number): number =>
  lanes.reduce((most, lane) => Math.max(most, chunksOf(lane, chunk)), 0);

/** The loss, summed; states move on. */
export async function evaluateLanes(
  lanes: readonly Lane[],
  { training, chunk }: PassOptions,
): Promise<number> {
  let loss = 0;
  for (let index = 0; index < longest(lanes, chunk); index++) {
    loss += await training.evaluate(chunkBatch(lanes, { index, chunk }));
  }
  return loss;
}

/** The loss, summed; gradients are added up, and states move on to the ends of the samples. */
export async function learnLanes(lanes: readonly Lane[], options: LearnOptions): Promise<number> {
  return options.kept === undefined || longest(lanes, options.chunk) < 2
    ? learnForward(lanes, options)
    : learnThroughCuts(lanes, { ...options, kept: options.kept });
}

/** Each chunk on its own: what a chunk knows of the past is its state, which is taken as given. */
async function learnForward(
  lanes: readonly Lane[],
  { training, chunk, accumulate, initial }: LearnOptions,
): Promise<number> {
  let loss = 0;
  for (let index = 0; index < longest(lanes, chunk); index++) {
    const running = lanes.filter((lane) => chunksOf(lane, chunk) > index);
    for (const { slot } of running) training.clearStateGradients(slot);
    loss += await training.accumulate(chunkBatch(running, { index, chunk }), accumulate);
    if (initial && index === 0) collectInitial(running, training);
  }
  return loss;
}

/**
 * Forward once, keeping the states before each chunk; then backward, last chunk first, each running forward again from the
 * state that was kept. The last forward run of each lane is spared: its backward run does it.
 */
async function learnThroughCuts(
  lanes: readonly Lane[],
  {
    training,
    chunk,
    accumulate,
    initial,
    kept,
  }: LearnOptions & { readonly kept: readonly number[] },
): Promise<number> {
  const count = longest(lanes, chunk);
  const keptSlot = (lane: Lane, index: number): number =>
    kept[index * lanes.length + lanes.indexOf(lane)]!;
  for (let index = 0; index < count - 1; index++) {
    const going = lanes.filter((lane) => chunksOf(lane, chunk) > index + 1);
    for (const lane of going) training.copyStates(lane.slot, keptSlot(lane, index));
    await training.evaluate(chunkBatch(going, { index, chunk }));
  }
  let loss = 0;
  for (let index = count - 1; index >= 0; index--) {
    const running = lanes.filter((lane) => chunksOf(lane, chunk) > index);
    for (const lane of running) {
      const isLast = chunksOf(lane, chunk) === index + 1;
      if (isLast) training.clearStateGradients(lane.slot);
      else training.copyStates(keptSlot(lane, index), lane.slot);
    }
    loss += await training.accumulate(chunkBatch(running, { index, chunk }), accumulate);
    // The end of a sample is where its lane goes on: it takes the place that the last chunk's beginning does not need.
    for (const lane of running) {
      const last = chunksOf(lane, chunk) - 1;
      if (last === index && last > 0) training.copyStates(lane.slot, keptSlot(lane, last));
    }
  }
  if (initial) collectInitial(lanes, training);
  for (const lane of lanes) {
    const last = chunksOf(lane, chunk) - 1;
    if (last > 0) training.copyStates(keptSlot(lane, last), lane.slot);
  }
  return loss;
}

function collectInitial(lanes: readonly Lane[], training: Training): void {
  for (const { sample, slot } of lanes) {
    if (sample.continues !== true) training.collectInitialGradients(slot);
  }
}
