import { createReferenceBackend } from '@rwkv-ts/reference';
import { describe, expect, test } from 'vitest';
import {
  createTrainer,
  type Sample,
  type SampleStream,
  type StepReport,
  type TrainerOptions,
} from '../src/index.js';
import {
  cycle,
  numbersOf,
  sample,
  tinyModel,
  vocabularySize,
  windows,
  wrapTraining,
} from './tiny.js';

const f64 = () => createReferenceBackend({ precision: 'f64' });
const optimizer = { learningRate: { peak: 1e-2, warmupSteps: 0 }, epsilon: 1e-12 };

async function run(
  options: Partial<TrainerOptions> & Pick<TrainerOptions, 'data' | 'batch'>,
): Promise<{ reports: StepReport[]; numbers: Map<string, Float32Array> }> {
  await using backend = f64();
  const reports: StepReport[] = [];
  await using trainer = await createTrainer({
    backend,
    model: tinyModel(),
    steps: 2,
    optimizer,
    onStep: (report) => void reports.push(report),
    ...options,
  });
  await trainer.run();
  return { reports, numbers: await numbersOf(trainer.model) };
}

function largestDifference(
  a: ReadonlyMap<string, Float32Array>,
  b: ReadonlyMap<string, Float32Array>,
): number {
  let largest = 0;
  for (const [name, values] of a) {
    const others = b.get(name)!;
    for (const [index, value] of values.entries()) {
      largest = Math.max(largest, Math.abs(value - others[index]!));
    }
  }
  return largest;
}

describe.each(['4', '5.2', '6', '7'] as const)('RWKV-%s', (version) => {
  test('starts from a uniform guess and learns a little language', async () => {
    const { reports } = await run({
      model: tinyModel(version),
      data: windows(),
      steps: 40,
      batch: { sequences: 4, context: 16 },
      optimizer: { learningRate: { peak: 2e-2, warmupSteps: 4 } },
    });
    expect(reports).toHaveLength(40);
    // The embedding is almost nothing and every branch ends in zeros, so ln0 sees noise and the head is small.
    expect(reports[0]!.loss).toBeGreaterThan(0.8 * Math.log(vocabularySize));
    expect(reports[39]!.loss).toBeLessThan(0.6 * Math.log(vocabularySize));
    expect(reports.every(({ applied }) => applied)).toBe(true);
    expect(reports.at(-1)).toMatchObject({ step: 40, steps: 40, tokens: 64, tokensTotal: 2560 });
    expect(reports[4]!.learningRate).toBeGreaterThan(reports[39]!.learningRate);
  });
});

/** Three samples of different lengths, one with a mask. */
const ragged: readonly Sample[] = [
  sample(16, 0),
  sample(7, 40),
  sample(16, 80, { mask: Uint8Array.from({ length: 16 }, (_, index) => (index < 5 ? 0 : 1)) }),
  sample(13, 120, { mask: Float32Array.from({ length: 13 }, (_, index) => (index % 3) / 2) }),
];

describe('the way a batch is run does not matter', () => {
  const whole = () => run({ data: cycle(ragged), batch: { sequences: 4, context: 16 } });

  test.each([
    ['one sample at a time', { sequencesAtOnce: 1 }],
    ['three and one', { sequencesAtOnce: 3 }],
    ['chunks with gradients through the cuts', { chunk: 5 }],
    ['chunks of one token', { chunk: 1 }],
    ['both', { chunk: 6, sequencesAtOnce: 3 }],
    ['carried states that nothing continues', { chunk: 5, carry: true }],
  ])('%s', async (_, more) => {
    const [expected, got] = [
      await whole(),
      await run({ data: cycle(ragged), batch: { sequences: 4, context: 16, ...more } }),
    ];
    for (const [index, report] of got.reports.entries()) {
      const other = expected.reports[index]!;
      expect(report.loss).toBeCloseTo(other.loss, 10);
      expect(report.gradientNorm / other.gradientNorm).toBeCloseTo(1, 10);
    }
    expect(largestDifference(got.numbers, expected.numbers)).toBeLessThan(1e-6);
  });

  test('but gradients that stop at the cuts are others, with the same loss', async () => {
    const batch = { sequences: 4, context: 16, chunk: 5, gradientsThroughCuts: false };
    // In the first update every branch ends in zeros, so no gradient has a past to reach.
    const [expected, got] = [await whole(), await run({ data: cycle(ragged), batch })];
    expect(got.reports[0]!.loss).toBeCloseTo(expected.reports[0]!.loss, 10);
    const ratio = got.reports[1]!.gradientNorm / expected.reports[1]!.gradientNorm;
    expect(Math.abs(ratio - 1)).toBeGreaterThan(1e-6);
  });
});

describe('carried states', () => {
  const still = { learningRate: { peak: 0 }, weightDecay: 0 };
  const halves = [sample(8, 0), sample(8, 8, { continues: true })];
  const reportsOf = async (data: SampleStream, batch: TrainerOptions['batch']) =>
    (await run({ data, batch, optimizer: still, model: await learned() })).reports;
  const losses = async (...given: Parameters<typeof reportsOf>): Promise<number[]> =>
    (await reportsOf(...given)).map(({ loss }) => loss);
  /** A model in which the past matters, which it does not in a new one. */
  const learned = async () => {
    await using backend = f64();
    await using trainer = await createTrainer({
      backend,
      model: tinyModel(),
      steps: 3,
      data: windows(),
      batch: { sequences: 2, context: 16 },
      optimizer: { learningRate: { peak: 3e-2, warmupSteps: 0 } },
    });
    await trainer.run();
    const numbers = await numbersOf(trainer.model);
    const model = tinyModel();
    return {
      ...model,
      async *weights() {
        for await (const weight of model.weights()) {
          const { buffer } = numbers.get(weight.name)!.slice();
          yield { ...weight, bytes: new Uint8Array(buffer) };
        }
      },
    };
  };

  test.each([8, 3])('two halves in a row are the whole, in chunks of %d', async (chunk) => {
    const batch = { sequences: 1, context: 8, chunk, carry: true };
    const [first, second] = await losses(cycle(halves), batch);
    const [whole] = await losses(cycle([sample(16, 0)]), { sequences: 1, context: 16 });
    expect((first! + second!) / 2).toBeCloseTo(whole!, 10);
    const [, alone] = await losses(cycle(halves), { ...batch, carry: false });
    expect(Math.abs(alone! - second!)).toBeGreaterThan(1e-4);
  });

  test('gradients of an update know nothing of the one before, in chunks of any size', async () => {
    const batch = { sequences: 1, context: 8, carry: true };
    const norms = async (chunk: number): Promise<number[]> =>
      (await reportsOf(cycle(halves), { ...batch, chunk })).map((report) => report.gradientNorm);
    const [whole, cut] = [await norms(8), await norms(3)];
    for (const [index, norm] of cut.entries()) expect(norm / whole[index]!).toBeCloseTo(1, 9);
  });

  test('an evaluation in between does not touch them', async () => {
    const batch = { sequences: 1, context: 8, carry: true };
    const options = { batch, optimizer: still, model: await learned() };
    const quiet = await run({ ...options, data: cycle(halves) });
    const evaluated = await run({
      ...options,
      data: cycle(halves),
      validation: { stream: () => windows(8), samples: 3 },
      evaluateEvery: 1,
    });
    expect(evaluated.reports.map(({ loss }) => loss)).toEqual(
      quiet.reports.map(({ loss }) => loss),
    );
  });
});

test('evaluation: the mean over counted targets, in bits per byte too', async () => {
  await using backend = f64();
  await using trainer = await createTrainer({
    backend,
    model: tinyModel(),
    steps: 1,
    data: windows(),
    batch: { sequences: 2, context: 16 },
    optimizer,
    tokenBytes: () => 2,
  });
  const stream = (): SampleStream => cycle(ragged);
  const all = await trainer.evaluate({ stream, samples: 4 });
  expect(all).toMatchObject({ step: 0, samples: 4, tokens: 16 + 7 + 11 + 8 });
  expect(all.loss).toBeGreaterThan(0.8 * Math.log(vocabularySize));
  const unmasked = (): SampleStream => cycle(ragged.slice(0, 2));
  const two = await trainer.evaluate({ stream: unmasked, samples: 2 });
  expect(two.bitsPerByte).toBeCloseTo(two.loss / Math.LN2 / 2, 12);
  expect(await trainer.evaluate({ stream, samples: 4 })).toEqual(all);
});

test('an abort stops after the update in work, and evaluates no more', async () => {
  const abort = new AbortController();
  const steps: number[] = [];
  await using backend = f64();
  await using trainer = await createTrainer({
    backend,
    model: tinyModel(),
    steps: 9,
    data: windows(),
    batch: { sequences: 1, context: 16 },
    optimizer,
    validation: { stream: () => windows(), samples: 1 },
    evaluateEvery: 1,
    signal: abort.signal,
    onStep: ({ step }) => {
      if (step === 3) abort.abort();
    },
    onEvaluation: ({ step }) => void steps.push(step),
  });
  expect(await trainer.run()).toMatchObject({ outcome: 'aborted', step: 3 });
  expect(steps).toEqual([1, 2]);
});

describe('updates that are not finite', () => {
  const options = { data: windows(8), batch: { sequences: 1, context: 8 }, steps: 8 };
  const failing = (fails: (call: number) => boolean) => {
    let calls = 0;
    const steps: number[] = [];
    const backend = wrapTraining(f64(), (training) => ({
      update: async (update) => {
        steps.push(update.step);
        if (!fails(calls++)) return training.update(update);
        return { gradientNorm: Number.NaN, applied: false };
      },
    }));
    return { backend, steps };
  };

  test('are skipped and counted, and the optimiser does not count them', async () => {
    const { backend, steps } = failing((call) => call === 1 || call === 2);
    await using trainer = await createTrainer({
      backend,
      model: tinyModel(),
      optimizer: { ...optimizer, skippedLimit: 3 },
      ...options,
    });
    expect(await trainer.run()).toMatchObject({ outcome: 'finished', step: 8, skipped: 2 });
    expect(steps).toEqual([1, 2, 2, 2, 3, 4, 5, 6]);
  });

  test('end the run where there are many in a row', async () => {
    const { backend } = failing((call) => call > 0);
    await using trainer = await createTrainer({
      backend,
      model: tinyModel(),
      optimizer: { ...optimizer, skippedLimit: 3 },
      ...options,
    });
    await expect(trainer.run()).rejects.toMatchObject({ code: 'DIVERGED' });
    expect(trainer.step).toBe(4);
  });
});

describe('what is wrong is said', () => {
  const good = { data: windows(), batch: { sequences: 1, context: 16 } };
  test.each<[string, Partial<TrainerOptions>]>([
    ['steps', { steps: -1 }],
    ['batch.sequences', { batch: { sequences: 0, context: 4 } }],
    ['batch.chunk', { batch: { sequences: 1, context: 4, chunk: 0.5 } }],
    ['optimizer.betas', { optimizer: { learningRate: { peak: 1 }, betas: [0.9, 1] } }],
    ['optimizer.epsilon', { optimizer: { learningRate: { peak: 1 }, epsilon: 0 } }],
    ['evaluateEvery', { evaluateEvery: 0 }],
  ])('%s', async (name, wrong) => {
    const promise = run({ ...good, ...wrong });
    await expect(promise).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    await expect(promise).rejects.toThrow(name);
  });

  test.each([
    ['too long', sample(17, 0)],
    ['empty', sample(0, 0)],
    ['without targets for all', { ...sample(4, 0), targets: new Uint32Array(3) }],
    ['outside the vocabulary', { ...sample(2, 0), tokens: Uint32Array.of(1, vocabularySize) }],
  ])('a sample that is %s', async (_, wrong) => {
    await expect(run({ ...good, data: cycle([wrong]) })).rejects.toMatchObject({
      code: 'SAMPLE_INVALID',
    });
  });

  test('a backend that cannot train', async () => {
    const other = { name: 'other', supports: f64().supports };
    await expect(run({ ...good, backend: other as never })).rejects.toMatchObject({
      code: 'BACKEND_UNSUPPORTED',
    });
  });
});
