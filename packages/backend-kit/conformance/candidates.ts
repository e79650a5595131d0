/** Candidates of a step instead of whole rows: the same step, told shorter. */
import type { Program, Rows } from '@rwkv-ts/backend';
import { buildProgram, type RwkvConfig } from '@rwkv-ts/model';
import { createRandomWeights } from '../src/random-weights.js';
import { assertSame, check, equal, rejects } from './assert.js';
import { batchOf } from './batches.js';
import { openLowered, type Session, unclaimedKinds } from './session.js';
import type { CaseContext, CaseDefinition } from './types.js';

const count = 8;
const config: RwkvConfig = {
  version: '4',
  layers: 1,
  channels: 64,
  channelMixSize: 96,
  vocabularySize: 300,
  normEpsilon: 1e-5,
  embeddingNorm: 'separate',
  decayForm: 'official',
};

/** Ragged steps that leave the same states whichever way their rows are asked for. */
const steps = [
  batchOf([
    { slot: 1, tokens: [5, 200, 7] },
    { slot: 0, tokens: [1] },
  ]),
  batchOf([{ slot: 0, tokens: [9, 8] }], 'last'),
  batchOf([{ slot: 2, tokens: [3] }], []),
  batchOf(
    [
      { slot: 1, tokens: [299] },
      { slot: 2, tokens: [0] },
    ],
    'last',
  ),
];

/** What the candidates of a row must be, up to the rounding of the sum. */
function expectCandidates(got: Rows, row: Rows, where: string): void {
  const order = [...row.keys()].sort((a, b) => row[b]! - row[a]! || a - b).slice(0, count);
  const numbers = order.map((column) => row[column]!);
  assertSame(got.slice(0, count), Float64Array.from(numbers), `${where}: numbers`);
  assertSame(got.slice(count, 2 * count), Float64Array.from(order), `${where}: columns`);
  let sum = 0;
  for (const number of row) sum += Math.exp(number - numbers[0]!);
  const off = Math.abs(got[2 * count]! / sum - 1);
  check(off <= 1e-5, `${where}: the sum must be ${sum}, got ${got[2 * count]!}`);
}

function programFor({ backend, skip }: CaseContext): Program {
  if (!backend.supports.ops.has('top-k')) skip('supports.ops does not claim top-k');
  const program = buildProgram(config, { candidates: count });
  const missing = unclaimedKinds(backend, program);
  if (missing.length > 0) skip(`the case also needs ${missing.join(', ')}`);
  return program;
}

const openBoth = async (context: CaseContext) => {
  const program = programFor(context);
  const options = { program, weights: createRandomWeights(config, { seed: 3 }) };
  return [
    await openLowered(context.backend, options),
    await openLowered(context.backend, options),
  ] as const;
};

async function sameStep(context: CaseContext): Promise<void> {
  const [first, second] = await openBoth(context);
  await using short = first;
  await using whole = second;
  const { width } = short.program.output;
  for (const [index, batch] of steps.entries()) {
    const rows = await whole.run(batch);
    const candidates = await short.run({ ...batch, candidates: true });
    equal(candidates.length, batch.wanted.length * (2 * count + 1), 'numbers of the candidates');
    for (let row = batch.wanted.length - 1; row >= 0; row--) {
      const where = `step ${index}, row ${row}`;
      const wanted = rows.slice(row * width, (row + 1) * width);
      const own = candidates.slice(row * (2 * count + 1), (row + 1) * (2 * count + 1));
      expectCandidates(own, wanted, where);
      assertSame(await outputRow(short, row), wanted, `${where}: the output row`);
    }
  }
}

async function outputRow({ executable }: Session, row: number): Promise<Rows> {
  if (!executable.outputRow) return Promise.reject(new Error('there is no outputRow'));
  return executable.outputRow(row);
}

/** Both kinds of steps on one executable, in turns. */
async function inTurns(context: CaseContext): Promise<void> {
  const [first, second] = await openBoth(context);
  await using mixed = first;
  await using whole = second;
  const { width } = mixed.program.output;
  for (const [index, batch] of [...steps, ...steps].entries()) {
    const rows = await whole.run(batch);
    const candidates = index % 3 !== 1;
    const output = new Float32Array(batch.wanted.length * width);
    const got = await mixed.run({ ...batch, candidates, output });
    if (!candidates) assertSame(got, rows, `step ${index} after one with candidates`);
    else if (batch.wanted.length > 0) {
      const kept = got.slice();
      assertSame(await outputRow(mixed, 0), rows.slice(0, width), `step ${index}`);
      assertSame(got, kept, `step ${index}: candidates after the row was read`);
    }
  }
}

async function refusals(context: CaseContext): Promise<void> {
  const [first, second] = await openBoth(context);
  await using session = first;
  await second[Symbol.asyncDispose]();
  const ask = (row: number) => outputRow(session, row);
  await rejects(() => ask(0), 'BATCH_INVALID', 'a row before any step');
  await session.run({ ...steps[0]!, candidates: true });
  for (const row of [4, -1, 0.5]) await rejects(() => ask(row), 'BATCH_INVALID', `row ${row} of 4`);
  await ask(3);
  await session.run(steps[1]!);
  await rejects(() => ask(0), 'BATCH_INVALID', 'a row of a step that gave its rows');
  await session.executable[Symbol.asyncDispose]();
  await rejects(() => ask(0), 'DISPOSED', 'a row of a disposed executable');
}

async function noCandidates({ backend, skip }: CaseContext): Promise<void> {
  const program = buildProgram(config);
  const missing = unclaimedKinds(backend, program);
  if (missing.length > 0) skip(`the case needs ${missing.join(', ')}`);
  const weights = createRandomWeights(config, { seed: 3 });
  await using session = await openLowered(backend, { program, weights });
  await rejects(
    () => session.run({ ...steps[0]!, candidates: true }),
    'BATCH_INVALID',
    'candidates of a program that names none',
  );
  // A rejected batch changes no state.
  await using other = await openLowered(backend, { program, weights });
  assertSame(await session.run(steps[0]!), await other.run(steps[0]!), 'the step after it');
}

export const candidateCases: readonly CaseDefinition[] = [
  { name: 'candidates: the same step, and its whole rows, to the bit', run: sameStep },
  { name: 'candidates: steps with and without in turns', run: inTurns },
  { name: 'candidates: rows that are not there are refused', run: refusals },
  { name: 'candidates: a program without any', run: noCandidates },
];
