/**
 * Group `sizes`: what only shows at the sizes of real use: steps longer than a tile, more slots than a register has bits,
 * rows and vocabularies that no single dispatch covers, several executables and models at once.
 */
import type { Backend, Batch, Limits, Program, Rows } from '@rwkv-ts/backend';
import { f16ToF32, f32ToF16 } from '@rwkv-ts/formats';
import { buildProgram, type RwkvConfig } from '@rwkv-ts/model';
import { createRandomWeights } from '../src/random-weights.js';
import { assertClose, assertSame, check, differ } from './assert.js';
import { batchOf, type Sequence } from './batches.js';
import { OpScope } from './op-scope.js';
import {
  bytesOf,
  numbersOf,
  open,
  openLowered,
  openOracle,
  type OpenOptions,
  type Session,
  unclaimedKinds,
} from './session.js';
import { logitsBound, opBound } from './tolerance.js';
import { tinyModel } from './tiny-models.js';
import type { CaseContext, CaseDefinition } from './types.js';

const tokens = (count: number, start: number) =>
  Array.from({ length: count }, (_, t) => (start + 17 * t + ((t * t) % 5)) % 61);

function requireClaims({ backend, skip }: CaseContext, program: Program): void {
  const missing = unclaimedKinds(backend, program);
  if (missing.length > 0) skip(`the case needs ${missing.join(', ')}`);
}

/** Runs the same steps on both, and holds the rows of each step against the bound of a model's logits. */
async function compareSteps(
  { backend }: CaseContext,
  { options, steps }: { options: OpenOptions; steps: readonly Batch[] },
  compareMore?: (device: Session, oracle: Session) => Promise<void>,
): Promise<void> {
  await using device = await openLowered(backend, options);
  await using oracle = await openOracle(options);
  for (const [index, batch] of steps.entries()) {
    assertClose({
      got: await device.run(batch),
      want: await oracle.run(batch),
      width: options.program.output.width,
      bound: logitsBound(backend.supports),
      where: `step ${index}, T = ${batch.tokens.length}, S = ${batch.slots.length}`,
    });
  }
  await compareMore?.(device, oracle);
}

const common = {
  layers: 1,
  channels: 128,
  channelMixSize: 448,
  vocabularySize: 61,
  normEpsilon: 1e-5,
  embeddingNorm: 'separate',
} as const;
/** The head size of every published model. */
const heads = { heads: 2, headSize: 64, headNormEpsilon: 64e-5 } as const;
const ranks = { decay: 64, rate: 64, valueResidual: 32, gate: 128 } as const;
const configs: readonly RwkvConfig[] = [
  { ...common, version: '4', decayForm: 'official' },
  { ...common, ...heads, version: '5.2', decayForm: 'official', bonusForm: 'plain' },
  { ...common, ...heads, version: '6', ranks: { mix: 32, decay: 64 } },
  // The second layer is the first with a value residual.
  { ...common, ...heads, layers: 2, version: '7', ranks },
];

/** A prompt over four tiles of 64, one beside short ones that leaves no tile full, then tokens one by one. */
async function longPrompts(context: CaseContext, config: RwkvConfig): Promise<void> {
  const program = buildProgram(config);
  requireClaims(context, program);
  const steps = [
    batchOf([{ slot: 0, tokens: tokens(257, 3) }], [0, 63, 64, 255, 256]),
    batchOf(
      [
        { slot: 3, tokens: tokens(129, 5) },
        { slot: 1, tokens: tokens(1, 9) },
        { slot: 2, tokens: tokens(64, 11) },
        { slot: 0, tokens: tokens(63, 2) },
      ],
      'last',
    ),
    ...[1, 2, 3].map((step) =>
      batchOf(
        [0, 1, 2, 3].map((slot) => ({ slot, tokens: [7 * slot + step] })),
        'last',
      ),
    ),
    batchOf([{ slot: 0, tokens: [1] }]),
  ];
  const options = {
    program,
    weights: createRandomWeights(config, { seed: 5 }),
    limits: { tokens: 257, sequences: 4, wanted: 5 },
  };
  await compareSteps(context, { options, steps });
}

const manySlots = 150;
/** Every slot once, far from in order: 37 and 150 have no common divisor. */
const slotAt = (index: number) => (index * 37 + 11) % manySlots;

/** More sequences than a workgroup has lanes, more slots than sequences, at exactly the limits. */
async function slots(context: CaseContext, version: '4' | '7'): Promise<void> {
  const model = tinyModel(version);
  requireClaims(context, model.program);
  const count = 75;
  const prompts: Sequence[] = Array.from({ length: count }, (_, index) => ({
    slot: slotAt(index),
    tokens: tokens(1 + (index % 4), index),
  }));
  const decode: Sequence[] = Array.from({ length: count }, (_, index) => ({
    slot: slotAt(2 * index),
    tokens: [index % 61],
  }));
  const steps = [
    batchOf([{ slot: 149, tokens: [4] }]),
    batchOf([{ slot: 64, tokens: [5] }]),
    batchOf(prompts, 'last'),
    batchOf(decode, 'last'),
    batchOf([...decode].reverse(), 'last'),
  ];
  const total = steps[2]!.tokens.length;
  const limits = { tokens: total, sequences: count, wanted: count };
  const options = { ...model, slots: manySlots, limits };
  await compareSteps(context, { options, steps }, async (device, oracle) => {
    const untouched = slotAt(149);
    for (const slot of [untouched, 0, 63, 64, 65, 128, 149]) {
      assertClose({
        got: numbersOf(await device.states.read(slot)),
        want: numbersOf(await oracle.states.read(slot)),
        width: 1,
        // A number of a state has no row to be measured by.
        bound: { relative: 100 * logitsBound(context.backend.supports).relative, absolute: 1e-2 },
        where: `slot ${slot} of ${manySlots}`,
      });
    }
  });
}

/** Shapes that alternate, as serving makes them; all queued at once, so that a step's header must be its own. */
async function alternatingShapes({ backend, ...rest }: CaseContext): Promise<void> {
  const model = tinyModel('7');
  requireClaims({ backend, ...rest }, model.program);
  const shapes: readonly ((step: number) => Batch)[] = [
    (step) => batchOf([{ slot: step % 4, tokens: tokens(1, step) }]),
    (step) => batchOf([{ slot: (step + 1) % 4, tokens: tokens(33, step) }], 'last'),
    (step) =>
      batchOf(
        [3, 1, 0].map((slot) => ({ slot, tokens: tokens(2 + slot, step) })),
        'last',
      ),
    (step) => batchOf([{ slot: 2, tokens: tokens(5, step) }], []),
    (step) => batchOf([0, 1, 2, 3].map((slot) => ({ slot, tokens: [(step + slot) % 61] }))),
  ];
  const steps = Array.from({ length: 30 }, (_, step) => shapes[step % 5]!(step));
  await using awaited = await openLowered(backend, model);
  const expected: Rows[] = [];
  for (const step of steps) expected.push(await awaited.run(step));
  await using queued = await openLowered(backend, model);
  const rows = await Promise.all(steps.map((step) => queued.run(step)));
  for (const [index, got] of rows.entries()) {
    assertSame(got, expected[index]!, `step ${index} of 30, queued without await`);
  }
}

/** One executable for prompts and one for single tokens, on the same weights and states. */
async function twoExecutables(context: CaseContext): Promise<void> {
  const model = tinyModel('7');
  requireClaims(context, model.program);
  const { backend } = context;
  const promptLimits: Limits = { tokens: 64, sequences: 1, wanted: 1 };
  const decodeLimits: Limits = { tokens: 4, sequences: 4, wanted: 4 };
  await using prefill = await openLowered(backend, { ...model, limits: promptLimits });
  const lowered = prefill.program;
  await using decode = await backend.compile(lowered, prefill, decodeLimits);
  await using oracle = await openOracle({
    ...model,
    limits: { tokens: 64, sequences: 4, wanted: 4 },
  });
  const prompt = (slot: number, count: number) =>
    batchOf([{ slot, tokens: tokens(count, slot) }], 'last');
  const one = (step: number) =>
    batchOf([0, 1, 2, 3].map((slot) => ({ slot, tokens: [(11 * slot + step) % 61] })));
  const steps = [
    ...[9, 64, 33, 1].map((count, slot) => ({
      on: prefill.executable,
      batch: prompt(slot, count),
    })),
    ...[0, 1].map((step) => ({ on: decode, batch: one(step) })),
    { on: prefill.executable, batch: prompt(1, 40) },
    { on: decode, batch: one(5) },
  ];
  const got = await Promise.all(steps.map(({ on, batch }) => on.run(batch)));
  for (const [index, { batch }] of steps.entries()) {
    assertClose({
      got: got[index]!,
      want: await oracle.run(batch),
      width: model.config.vocabularySize,
      bound: logitsBound(backend.supports),
      where: `step ${index} over two executables`,
    });
  }
}

/** The same program and names with other numbers, and another program with some of the same names. */
function models(): readonly OpenOptions[] {
  const seven = tinyModel('7');
  const other = createRandomWeights(seven.config, { seed: 99 });
  return [seven, { program: seven.program, weights: other }, tinyModel('4')];
}

const modelSteps = [
  batchOf([{ slot: 1, tokens: tokens(9, 4) }]),
  batchOf([{ slot: 1, tokens: [3] }]),
  batchOf([
    { slot: 3, tokens: [8] },
    { slot: 1, tokens: [2, 6] },
  ]),
];

async function aloneRows(create: () => Promise<Backend>, options: OpenOptions): Promise<Rows[]> {
  await using session = await openLowered(await create(), options);
  const rows: Rows[] = [];
  for (const step of modelSteps) rows.push(await session.run(step));
  return rows;
}

async function manyModels(context: CaseContext): Promise<void> {
  const all = models();
  for (const { program } of all) requireClaims(context, program);
  const expected: Rows[][] = [];
  for (const options of all) expected.push(await aloneRows(context.create, options));
  check(differ(expected[0]![0]!, expected[1]![0]!), 'two sets of weights must give other rows');
  await using first = await openLowered(context.backend, all[0]!);
  await using second = await openLowered(context.backend, all[1]!);
  await using third = await openLowered(context.backend, all[2]!);
  const sessions = [first, second, third];
  const rows = await Promise.all(
    modelSteps.flatMap((step) => sessions.map((session) => session.run(step))),
  );
  for (const [index, got] of rows.entries()) {
    const [model, step] = [index % 3, Math.floor(index / 3)];
    assertSame(got, expected[model]![step]!, `model ${model} of 3 on one backend, step ${step}`);
  }
}

/** What was prepared for a model must go with it. */
async function reopened(context: CaseContext): Promise<void> {
  const [before, after] = models() as [OpenOptions, OpenOptions];
  requireClaims(context, before.program);
  const expected = await aloneRows(context.create, after);
  const backend = await context.create();
  {
    await using gone = await openLowered(backend, before);
    for (const step of modelSteps) await gone.run(step);
  }
  await using session = await openLowered(backend, after);
  for (const [index, step] of modelSteps.entries()) {
    const where = `step ${index} of the same program with other weights, after the first was disposed of`;
    assertSame(await session.run(step), expected[index]!, where);
  }
}

/** A state that is not finite is its own sequence's trouble: padding and leftovers must not carry it over. */
async function notFinite(context: CaseContext, version: '4' | '6' | '7'): Promise<void> {
  const model = tinyModel(version);
  requireClaims(context, model.program);
  await using session = await openLowered(context.backend, model);
  const { states } = session;
  const runs = async () => [
    await session.run(batchOf([{ slot: 3, tokens: tokens(33, 1) }])),
    await session.run(batchOf([{ slot: 0, tokens: tokens(5, 2) }])),
    await session.run(
      batchOf([
        { slot: 3, tokens: tokens(2, 3) },
        { slot: 0, tokens: tokens(3, 4) },
      ]),
    ),
  ];
  const [, alone, beside] = await runs();
  states.reset(0);
  states.write(3, bytesOf(numbersOf(await states.read(3)).fill(NaN)));
  const [sick, aloneAgain, besideAgain] = await runs();
  check(sick!.some(Number.isNaN), 'rows of a state that is NaN must show it');
  assertSame(aloneAgain!, alone!, 'rows after a step of a state that is NaN');
  const own = 2 * model.config.vocabularySize;
  assertSame(besideAgain!.slice(own), beside!.slice(own), 'rows beside a state that is NaN');
}

/** Exact in f16, so that a backend with f16 activations is charged for its op and not for its inputs. */
const halves = (random: { normal: () => number }) => f16ToF32(f32ToF16(random.normal()));

const manyRows = 65_537;

/** Ids beyond 16 bits, and more output columns than one dimension of a dispatch may have groups. */
async function largeVocabulary(context: CaseContext): Promise<void> {
  const scope = new OpScope({ seed: 41 });
  const [x, out] = [scope.value(8), scope.value(manyRows, 'R')];
  const table = scope.matrix(manyRows, 8, halves);
  scope.emit({ kind: 'embed', out: x, table, by: 'input' });
  const wanted = scope.value(8, 'R');
  scope.emit({ kind: 'select-rows', out: wanted, x });
  scope.emit({ kind: 'matmul', out, x: wanted, weight: scope.matrix(manyRows, 8) });
  const options = { program: scope.program(out), weights: scope.hostWeights };
  requireClaims(context, options.program);
  await using device = await open(context.backend, options);
  await using oracle = await openOracle(options);
  const ids = [manyRows - 1, 0, 65_535, 255, 256];
  const batch = batchOf([{ slot: 0, tokens: ids }], [0, 2, 4]);
  assertClose({
    got: await device.run(batch),
    want: await oracle.run(batch),
    width: manyRows,
    bound: opBound('matmul', context.backend.supports),
    where: `a vocabulary of ${manyRows}`,
  });
}

/** Longer than what a workgroup's shared memory holds. */
async function longRows(context: CaseContext, kind: 'matmul' | 'norm'): Promise<void> {
  const width = kind === 'matmul' ? 16_411 : 8195;
  const scope = new OpScope({ seed: 43 });
  const x = scope.value(width);
  scope.emit({ kind: 'embed', out: x, table: scope.matrix(5, width, halves), by: 'input' });
  const out = scope.value(kind === 'matmul' ? 3 : width);
  if (kind === 'norm') scope.emit({ kind, out, x, ...scope.norm(width) });
  else scope.emit({ kind, out, x, weight: scope.matrix(3, width) });
  const options = { program: scope.program(out), weights: scope.hostWeights };
  requireClaims(context, options.program);
  await using device = await open(context.backend, options);
  await using oracle = await openOracle(options);
  for (const ids of [[3], [0, 1, 2, 3, 4]]) {
    const batch = batchOf([{ slot: 0, tokens: ids }]);
    assertClose({
      got: await device.run(batch),
      want: await oracle.run(batch),
      width: out.width,
      // The error of n sums in f32 grows with √n, and n is a hundred times that of the other cases.
      bound: opBound(kind, context.backend.supports, 8),
      where: `${kind} of rows of ${width}, T = ${ids.length}`,
    });
  }
}

export const sizeCases: readonly CaseDefinition[] = [
  ...configs.map((config) => ({
    name: `RWKV-${config.version}, heads of 64: prompts of 257 tokens and ragged, then single tokens`,
    run: (context: CaseContext) => longPrompts(context, config),
  })),
  ...(['4', '7'] as const).map((version) => ({
    name: `RWKV-${version}: ${manySlots} slots, 75 sequences at exactly the limits`,
    run: (context: CaseContext) => slots(context, version),
  })),
  { name: 'shapes that alternate, queued without await', run: alternatingShapes },
  { name: 'an executable for prompts and one for single tokens', run: twoExecutables },
  { name: 'three models on one backend, queued in turns', run: manyModels },
  { name: 'the same program again with other weights', run: reopened },
  ...(['4', '6', '7'] as const).map((version) => ({
    name: `RWKV-${version}: a state that is not finite stays alone`,
    run: (context: CaseContext) => notFinite(context, version),
  })),
  { name: `a vocabulary of ${manyRows}`, run: largeVocabulary },
  ...(['matmul', 'norm'] as const).map((kind) => ({
    name: `${kind} of long rows`,
    run: (context: CaseContext) => longRows(context, kind),
  })),
];
