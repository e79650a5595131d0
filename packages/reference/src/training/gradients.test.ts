/** Every gradient of every version against central differences, in f64. */
import type { RwkvConfig } from '@rwkv-ts/model';
import { buildProgram } from '@rwkv-ts/model';
import { describe, expect, it } from 'vitest';
import { smallestConfigs } from '../../test/models.js';
import { createNormal } from '../../test/random.js';
import {
  gradientError,
  randomSnapshot,
  randomTokens,
  trainingBatch,
  type TrainingSession,
  withTraining,
  writeInitialStates,
} from '../../test/training.js';

const tokens = (count: number, seed: number): number[] =>
  randomTokens(count, { below: smallestConfigs[0]!.vocabularySize, seed });

/** Three sequences, one of a single token, one from a state that was carried; some rows unwanted, some weighted. */
const batch = trainingBatch(
  { slot: 2, tokens: tokens(6, 1), lossWeights: [1, 0, 0.5, 2, 1, 1] },
  { slot: 0, tokens: tokens(1, 2) },
  { slot: 5, tokens: tokens(4, 3), wanted: [false, true, true, false] },
);
const scale = 0.25;
/** 11 tokens, so that recurrences keep every fourth state, and the longest sequence has two chunks. */
const limits = { tokens: 11, sequences: 3, wanted: 11, slots: 6 };

/** Adds noise to weights that start alike, so that no gradient hides behind a symmetry. */
async function disturb({ training, program }: TrainingSession): Promise<void> {
  const normal = createNormal(11);
  for (const { name } of program.weights) {
    const value = await training.read(name, 'value');
    training.write(
      name,
      'value',
      value.map((number) => number + 0.05 * normal()),
    );
  }
}

function prepared(config: RwkvConfig, use: (session: TrainingSession) => Promise<void>) {
  const parts = { program: buildProgram(config), limits };
  return withTraining({ precision: 'f64' }, parts, async (session) => {
    writeInitialStates(session, 7);
    await disturb(session);
    await use(session);
  });
}

describe.each(smallestConfigs)('version $version', (config) => {
  it('has the gradients of its loss', async () => {
    await prepared(config, async ({ training, program, trainable }) => {
      const carried = randomSnapshot(program, 9);
      const begin = (): void => {
        training.resetSlot(2);
        training.resetSlot(0);
        training.writeStates(5, carried);
      };
      const loss = async (): Promise<number> => {
        begin();
        return scale * (await training.evaluate(batch));
      };
      begin();
      await training.accumulate(batch, { scale });
      training.collectInitialGradients(2);
      training.collectInitialGradients(0);
      for (const { name } of trainable) {
        expect(await gradientError(training, { name, loss }), name).toBeLessThan(1e-6);
      }
    });
  });
});
