/** A long sequence cut into runs: gradients cross a cut, or stop at it. */
import type { Training } from '@rwkv-ts/backend';
import { buildProgram } from '@rwkv-ts/model';
import { describe, expect, it } from 'vitest';
import { worstDifference } from '../../test/harness.js';
import { smallConfigs, smallestConfigs } from '../../test/models.js';
import {
  everything,
  gradientError,
  randomTokens,
  trainingBatch,
  type TrainingSession,
  withTraining,
  writeInitialStates,
} from '../../test/training.js';

const length = 23;
const cuts = [0, 9, 10, 18, length];
const options = { scale: 1 / length };

/** The chunks of two sequences, on slots 0 and 1, whose states before chunk i are kept in slots 2 + 2 i. */
function chunksOf(vocabularySize: number) {
  const sequences = [1, 2].map((seed) => randomTokens(length, { below: vocabularySize, seed }));
  const between = (from: number, to: number) =>
    trainingBatch(
      ...sequences.map((tokens, slot) => ({
        slot,
        tokens: tokens.slice(from, to),
        targets: [...tokens.slice(1), 0].slice(from, to),
      })),
    );
  return {
    whole: between(0, length),
    chunks: cuts.slice(1).map((to, index) => between(cuts[index]!, to)),
  };
}

const limits = { tokens: 2 * length, sequences: 2, wanted: 2 * length, slots: 10 };
const slots = [0, 1];

async function gradientsOf({ training, trainable }: TrainingSession): Promise<Float64Array[]> {
  const gradients: Float64Array[] = [];
  for (const { name } of trainable) {
    gradients.push(Float64Array.from(await training.read(name, 'gradient')));
  }
  return gradients;
}

/** As `Training` says how it is done. Gives the loss of the forward runs and that of the runs that accumulate. */
async function accumulateChunks(
  training: Training,
  chunks: ReturnType<typeof chunksOf>['chunks'],
): Promise<[number, number]> {
  const forward: Promise<number>[] = [];
  const losses: Promise<number>[] = [];
  for (const slot of slots) training.resetSlot(slot);
  for (const [index, chunk] of chunks.entries()) {
    for (const slot of slots) training.copyStates(slot, 2 + 2 * index + slot);
    forward.push(training.evaluate(chunk));
  }
  for (const [index, chunk] of [...chunks.entries()].reverse()) {
    for (const slot of slots) training.copyStates(2 + 2 * index + slot, slot);
    losses.push(training.accumulate(chunk, options));
  }
  const sum = async (parts: Promise<number>[]): Promise<number> =>
    (await Promise.all(parts)).reduce((total, part) => total + part, 0);
  return [await sum(forward), await sum(losses)];
}

describe.each(smallConfigs)('version $version', (config) => {
  const { whole, chunks } = chunksOf(config.vocabularySize);

  it.each(['recurrent', 'chunked'] as const)(
    '%s: cut or not, the gradients are equal',
    async (form) => {
      const parts = { program: buildProgram(config), limits };
      await withTraining({ precision: 'f64', form, chunkSize: 5 }, parts, async (session) => {
        const { training, trainable } = session;
        writeInitialStates(session, 5);
        for (const slot of slots) training.resetSlot(slot);
        const loss = await training.accumulate(whole, options);
        for (const slot of slots) training.collectInitialGradients(slot);
        const expected = await gradientsOf(session);
        for (const { name } of trainable) {
          const zeros = new Float64Array((await training.read(name, 'gradient')).length);
          training.write(name, 'gradient', zeros);
        }
        const losses = await accumulateChunks(training, chunks);
        for (const slot of slots) training.collectInitialGradients(slot);
        expect(worstDifference(losses, [loss, loss])).toBeLessThan(1e-12);
        const got = await gradientsOf(session);
        for (const [index, { name }] of trainable.entries()) {
          expect(relativeError(got[index]!, expected[index]!), name).toBeLessThan(1e-12);
        }
      });
    },
  );
});

/** Relative to the largest number expected. */
function relativeError(got: Float64Array, expected: Float64Array): number {
  const largest = expected.reduce((most, number) => Math.max(most, Math.abs(number)), 0);
  return worstDifference(
    got.map((number) => number / largest),
    expected.map((number) => number / largest),
  );
}

it.each(smallestConfigs)('version $version: gradients stop at a cleared cut', async (config) => {
  const { chunks } = chunksOf(config.vocabularySize);
  const [first, second] = [chunks[0]!, chunks[1]!];
  const program = buildProgram(config);
  const trainable = everything(program).filter(({ kind }) => kind === 'weight');
  await withTraining({ precision: 'f64' }, { program, trainable, limits }, async ({ training }) => {
    for (const slot of slots) training.resetSlot(slot);
    void training.evaluate(first);
    for (const slot of slots) training.copyStates(slot, 2 + slot);
    void training.accumulate(second);
    for (const slot of slots) {
      training.clearStateGradients(slot);
      training.resetSlot(4 + slot);
      training.copyStates(4 + slot, slot);
    }
    await training.accumulate(first);
    // The second chunk starts from states that stay what they were, whatever is moved.
    const loss = async (): Promise<number> => {
      for (const slot of slots) training.copyStates(2 + slot, slot);
      const rest = await training.evaluate(second);
      for (const slot of slots) training.resetSlot(slot);
      return rest + (await training.evaluate(first));
    };
    for (const name of [trainable[0]!, trainable.at(-1)!, trainable[5]!].map((it) => it.name)) {
      expect(await gradientError(training, { name, loss }), name).toBeLessThan(1e-6);
    }
  });
});
