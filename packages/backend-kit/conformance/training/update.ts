/** The optimiser against the f64 reference, from the same numbers on both. */
import type { HostWeight, Program, Training, UpdateOptions, UpdateResult } from '@rwkv-ts/backend';
import { normal, Random } from '../../src/random.js';
import { assertClose, assertSame, check, equal, throwsOrRejects } from '../assert.js';
import { OpScope } from '../op-scope.js';
import type { CaseContext, CaseDefinition } from '../types.js';
import {
  comparePart,
  openPair,
  openTraining,
  requireTraining,
  trainingBatchOf,
  type TrainingPair,
} from './session.js';
import { updateBound } from './tolerance.js';

/** embed → shift → add a parameter → matmul: weights of several sizes, one long enough for several workers. */
function createModel(): { readonly program: Program; readonly weights: readonly HostWeight[] } {
  const scope = new OpScope({ seed: 31 });
  const x = scope.input(67);
  const [shifted, sum, out] = [scope.value(67), scope.value(67), scope.value(129)];
  scope.emit({ kind: 'shift', out: shifted, x, state: scope.state([67], 0.5) });
  scope.emit({ kind: 'add', out: sum, x: shifted, y: scope.parameter([67], normal()) });
  scope.emit({ kind: 'matmul', out, x: sum, weight: scope.matrix(129, 67) });
  return { program: scope.program(out), weights: scope.hostWeights };
}

const model = createModel();
const names = [...model.program.weights, ...model.program.states].map(({ name }) => name);
const trainable = model.program.weights.map(({ name }, index) => ({
  kind: 'weight' as const,
  name,
  learningRateFactor: [1, 2, 0.5][index]!,
  weightDecayFactor: [1, 0, 3][index]!,
}));
const learning = [...trainable, { kind: 'initial-state' as const, name: 'state0' }];
/** An epsilon as large as the smaller gradients, so that it matters where it is added. */
const settings: Omit<UpdateOptions, 'step'> = {
  learningRate: 0.01,
  weightDecay: 0.1,
  betas: [0.8, 0.95],
  epsilon: 1e-3,
};

async function writeGradients(
  training: Training,
  { seed, deviation }: { readonly seed: number; readonly deviation: number },
): Promise<void> {
  for (const name of names) {
    const { length } = await training.read(name, 'value');
    // Some rows of a table are in no batch: their gradients are zero.
    const draw = (random: Random) => (random.uniform() < 0.2 ? 0 : deviation * random.normal());
    training.write(name, 'gradient', new Random(seed, name).fill(length, draw));
  }
}

const steps = 5;

async function run(
  training: Training,
  options: { readonly deviations: readonly number[]; readonly limit?: number },
): Promise<UpdateResult[]> {
  const results: UpdateResult[] = [];
  for (let step = 1; step <= steps; step++) {
    const deviation = options.deviations[step - 1]!;
    await writeGradients(training, { seed: step, deviation });
    const gradientNormLimit =
      options.limit === undefined ? {} : { gradientNormLimit: options.limit };
    results.push(await training.update({ ...settings, step, ...gradientNormLimit }));
  }
  return results;
}

async function compareSteps(pair: TrainingPair, results: Results, where: string): Promise<void> {
  assertClose({
    got: Float64Array.from(results.got, ({ gradientNorm }) => gradientNorm),
    want: Float64Array.from(results.want, ({ gradientNorm }) => gradientNorm),
    width: 1,
    bound: updateBound,
    where: `${where}, gradientNorm`,
  });
  for (const [step, { applied }] of results.want.entries()) {
    equal(results.got[step]!.applied, applied, `${where}, step ${step + 1}, applied`);
  }
  for (const part of ['first-moment', 'second-moment', 'value', 'gradient'] as const) {
    await comparePart(pair, part, { bound: updateBound, where });
  }
}

interface Results {
  readonly got: readonly UpdateResult[];
  readonly want: readonly UpdateResult[];
}

async function fiveSteps(context: CaseContext): Promise<void> {
  const backend = requireTraining(context, model.program);
  await using pair = await openPair(backend, { ...model, trainable: learning });
  const results = await pair.both((training) =>
    run(training, { deviations: [1, 1e-3, 1, 0.1, 1e-2] }),
  );
  await compareSteps(pair, results, 'five steps');
}

async function scaledDown(context: CaseContext): Promise<void> {
  const backend = requireTraining(context, model.program);
  await using pair = await openPair(backend, { ...model, trainable: learning });
  // The norm over about 13,000 numbers: above the limit, below it, above it.
  const options = { deviations: [1, 1e-2, 10, 1e-3, 0.2], limit: 5 };
  const results = await pair.both((training) => run(training, options));
  const isAbove = results.want.map(({ gradientNorm }) => gradientNorm > options.limit);
  check(isAbove.includes(true) && isAbove.includes(false), 'the case needs norms on both sides');
  await compareSteps(pair, results, 'five steps with a limit');
}

async function notFinite(context: CaseContext): Promise<void> {
  const backend = requireTraining(context, model.program);
  await using training = await openTraining(backend, { ...model, trainable: learning });
  await run(training, { deviations: [1, 1, 1, 1, 1] });
  const parts = ['value', 'first-moment', 'second-moment'] as const;
  const all = async () => {
    const rows = [];
    for (const name of names) for (const part of parts) rows.push(await training.read(name, part));
    return rows;
  };
  const before = await all();
  for (const bad of [Number.NaN, Infinity]) {
    await writeGradients(training, { seed: 9, deviation: 1 });
    const gradient = await training.read('state0', 'gradient');
    gradient[66] = bad;
    training.write('state0', 'gradient', gradient);
    const { applied, gradientNorm } = await training.update({ ...settings, step: 6 });
    equal(applied, false, `applied with a gradient of ${bad}`);
    check(
      !Number.isFinite(gradientNorm),
      `gradientNorm with a gradient of ${bad} is ${gradientNorm}`,
    );
    for (const [index, rows] of (await all()).entries()) {
      assertSame(rows, before[index]!, `what a gradient of ${bad} must not change`);
    }
    for (const name of names) {
      const zero = await training.read(name, 'gradient');
      check(
        zero.every((number) => number === 0),
        `the gradient of ${name} must be zero after an update that was not applied`,
      );
    }
  }
}

/** What the ops read is what the optimiser moved, the forms of parameters included. */
async function opsSeeUpdates(context: CaseContext): Promise<void> {
  const scope = new OpScope({ seed: 8 });
  const [x, sum, out] = [scope.input(13), scope.value(13), scope.value(13)];
  const bias = scope.parameter([13], normal(), 'exp');
  scope.emit({ kind: 'add', out: sum, x, y: bias });
  scope.emit({ kind: 'lerp', out, x: sum, y: x, by: scope.parameter([13], normal(), 'sigmoid') });
  const formed = { program: scope.program(out), weights: scope.hostWeights };
  const backend = requireTraining(context, formed.program);
  await using training = await openTraining(backend, formed);
  const batch = trainingBatchOf([{ slot: 0, tokens: [1, 2, 3, 4, 5] }], { outputs: 13 });
  let last = Infinity;
  for (let step = 1; step <= 6; step++) {
    const loss = await training.accumulate(batch, { scale: 1 / 5 });
    check(
      loss < last,
      `the loss must fall with every step: step ${step} has ${loss}, after ${last}`,
    );
    last = loss;
    await training.update({ ...settings, weightDecay: 0, step });
  }
  const target = batch.targets[0]!;
  const only = { ...batch, targets: batch.targets.map(() => target) };
  const numbers = Float32Array.from({ length: 13 }, (_, c) => (c === target ? 5 : -20));
  training.write(bias.weight, 'value', numbers);
  const by = formed.program.weights.at(-1)!.name;
  training.write(by, 'value', new Float32Array(13).fill(-20));
  const loss = await training.evaluate(only);
  check(loss < 1e-6, `numbers that were written must be what ops read: the loss is ${loss}`);
}

async function badOptions(context: CaseContext): Promise<void> {
  const backend = requireTraining(context, model.program);
  await using training = await openTraining(backend, { ...model, trainable: learning });
  const wrong: readonly Partial<UpdateOptions>[] = [
    { step: 0 },
    { step: 1.5 },
    { learningRate: Number.NaN },
    { betas: [1, 0.9] },
    { epsilon: 0 },
    { gradientNormLimit: -1 },
  ];
  for (const options of wrong) {
    await throwsOrRejects(
      () => training.update({ ...settings, step: 1, ...options }),
      'TypeError',
      `update with ${JSON.stringify(options)}`,
    );
  }
}

export const updateCases: readonly CaseDefinition[] = [
  { name: 'update: five steps, with factors', run: fiveSteps },
  { name: 'update: gradients above the limit are scaled down', run: scaledDown },
  { name: 'update: a gradient that is not finite changes nothing', run: notFinite },
  { name: 'update: ops read what was updated and written, forms included', run: opsSeeUpdates },
  { name: 'update: options out of range are a TypeError', run: badOptions },
];
