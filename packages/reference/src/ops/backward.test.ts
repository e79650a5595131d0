/** The backward of every op, in every form of its operands, against central differences in f64. */
import type { Program } from '@rwkv-ts/backend';
import { expect, it } from 'vitest';
import { CaseBuilder, caseEntries, tableRows } from '../../test/op-cases.js';
import {
  gradientError,
  randomSnapshot,
  randomTokens,
  trainingBatch,
  type TrainingSession,
  withTraining,
  writeInitialStates,
} from '../../test/training.js';

/** Rows of the tables that the batch reads. */
const usedRows = 5;
const tokens = (count: number, seed: number): number[] =>
  randomTokens(count, { below: usedRows, seed });
const targets = (count: number): number[] => tokens(count, 4).map((target) => target % 3);

/** 24 tokens: recurrences keep every fifth state. */
const batch = trainingBatch(
  { slot: 1, tokens: tokens(17, 1), targets: targets(17) },
  { slot: 0, tokens: tokens(1, 2), targets: targets(1) },
  { slot: 3, tokens: tokens(6, 3), targets: targets(6) },
);
const limits = { tokens: 24, sequences: 3, wanted: 24, slots: 4 };

async function check({ training, program, trainable }: TrainingSession): Promise<void> {
  const start = randomSnapshot(program, 5);
  const begin = (): void => {
    training.resetSlot(1);
    training.resetSlot(0);
    training.writeStates(3, start);
  };
  const loss = async (): Promise<number> => {
    begin();
    return training.evaluate(batch);
  };
  writeInitialStates({ training, program, trainable }, 5);
  begin();
  await training.accumulate(batch);
  training.collectInitialGradients(1);
  training.collectInitialGradients(0);
  for (const { name } of trainable) {
    const [rows, width] = program.weights.find((weight) => weight.name === name)?.shape ?? [];
    const count = rows === tableRows ? usedRows * width! : Infinity;
    expect(await gradientError(training, { name, loss, count }), name).toBeLessThan(1e-6);
  }
}

const checkProgram = (program: Program): Promise<void> =>
  withTraining({ precision: 'f64' }, { program, limits }, check);

/** A loss over one column is 0 whatever is in it, and `top-k` has no backward. */
const cases = caseEntries.filter(({ title, kind }) => kind !== 'top-k' && title !== 'matmul 1');

it.each(cases)('$title', async ({ build }) => {
  const builder = new CaseBuilder();
  await checkProgram(builder.finish(build(builder)));
});

it.each(['mul', 'add', 'lerp'] as const)('%s of a value and itself', async (kind) => {
  const builder = new CaseBuilder();
  const x = builder.input(7);
  const y = builder.activated(7, 'tanh');
  const [both, out] = [builder.value(7), builder.value(7)];
  builder.ops.push(
    kind === 'lerp' ? { kind, out: both, x, y: x, by: x } : { kind, out: both, x, y: x },
  );
  await checkProgram(builder.finish({ kind: 'mul', out, x: both, y }));
});
