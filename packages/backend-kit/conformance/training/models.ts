/** Whole tiny models: the loss, every gradient, gradients of initial states; rows' weights, the scale and the penalty. */
import type { Training } from '@rwkv-ts/backend';
import { openPair, type OpenTrainingOptions, requireTraining, trainingBatchOf } from './session.js';
import { compareLosses, comparePart, compareStates } from './session.js';
import { tinyModel, tinyVersions } from '../tiny-models.js';
import type { CaseContext, CaseDefinition } from '../types.js';
import { accumulateChunks } from './chunks.js';
import { modelTrainingBound } from './tolerance.js';

const outputs = 61;
const tokens = (count: number, start: number): number[] =>
  Array.from({ length: count }, (_, t) => (start + 13 * t + ((t * t) % 7)) % outputs);
const first = [
  { slot: 2, tokens: tokens(7, 3) },
  { slot: 0, tokens: tokens(1, 8) },
  { slot: 3, tokens: tokens(29, 21) },
];
const second = [
  { slot: 3, tokens: tokens(2, 5) },
  { slot: 2, tokens: tokens(18, 40) },
  { slot: 0, tokens: tokens(11, 2) },
];

const options = { scale: 1 / 30, largestLogitPenalty: 1e-2 };
const chunks = {
  first: trainingBatchOf(first, { outputs, weighted: true }),
  second: trainingBatchOf(second, { outputs, wanted: [0, 1, 3, 19, 20, 30] }),
};

async function compareModel(
  context: CaseContext,
  model: OpenTrainingOptions,
  run: (training: Training) => Promise<readonly number[]>,
): Promise<void> {
  const backend = requireTraining(context, model.program);
  const bound = modelTrainingBound(backend.supports);
  await using pair = await openPair(backend, model);
  const where = 'the model';
  compareLosses(await pair.both(run), { bound, where });
  for (const { slot } of first) await compareStates(pair, slot, { bound, where });
  await comparePart(pair, 'gradient', { bound, where });
}

export const modelTrainingCases: readonly CaseDefinition[] = tinyVersions.flatMap((version) => {
  const whole = (context: CaseContext) =>
    compareModel(context, tinyModel(version), (training) =>
      accumulateChunks(training, chunks, options),
    );
  const initialStates = async (context: CaseContext) => {
    const { program, weights } = tinyModel(version);
    const trainable = program.states.map(({ name }) => ({ kind: 'initial-state', name }) as const);
    await compareModel(context, { program, weights, trainable }, (training) =>
      accumulateChunks(training, chunks, options),
    );
  };
  const oneMatrix = async (context: CaseContext) => {
    const { program, weights } = tinyModel(version);
    const name = 'blocks.1.ffn.key.weight';
    await compareModel(
      context,
      { program, weights, trainable: [{ kind: 'weight', name }] },
      (training) => accumulateChunks(training, chunks, options),
    );
  };
  return [
    { name: `RWKV-${version}: everything learns`, run: whole },
    { name: `RWKV-${version}: only initial states learn`, run: initialStates },
    { name: `RWKV-${version}: one matrix learns`, run: oneMatrix },
  ];
});
