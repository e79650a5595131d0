import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createReferenceBackend } from '@rwkv-ts/reference';
import { fileSource } from '@rwkv-ts/weights/node';
import { openModel } from '@rwkv-ts/weights';
import { afterAll, describe, expect, test } from 'vitest';
import {
  type CheckpointStore,
  createTrainer,
  memoryCheckpoints,
  openCheckpoint,
  type StepReport,
  train,
  type TrainerOptions,
  type TrainOptions,
} from '../src/index.js';
import { folderCheckpoints } from '../src/node.js';
import { cycle, numbersOf, sample, tinyConfig, tinyModel, windows } from './tiny.js';

const folders: string[] = [];
async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rwkv-train-'));
  folders.push(folder);
  return folder;
}
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

const options = (more: Partial<TrainOptions> = {}): TrainOptions => ({
  backend: createReferenceBackend(),
  model: tinyModel(),
  steps: 6,
  data: (position) => windows(16, position),
  batch: { sequences: 3, context: 16, sequencesAtOnce: 2, chunk: 7 },
  optimizer: { learningRate: { peak: 1e-2, warmupSteps: 2 } },
  ...more,
});

function trainerOptions(): TrainerOptions {
  return { ...options(), data: windows(), resume: undefined };
}

/** What must be equal to the bit: numbers of the model, moments, and what the run said. */
interface Outcome {
  readonly tensors: ReadonlyMap<string, readonly number[]>;
  readonly reports: readonly unknown[];
  readonly position: unknown;
}

async function outcomeOf(store: CheckpointStore, reports: readonly StepReport[]): Promise<Outcome> {
  await using checkpoint = await openCheckpoint(store);
  await using model = await checkpoint.openModel();
  const tensors = new Map<string, readonly number[]>();
  for await (const { name, shape, bytes } of model.weights()) {
    tensors.set(name, [...bytes]);
    const count = shape.reduce((product, size) => product * size, 1);
    for (const part of ['first-moment', 'second-moment']) {
      tensors.set(`${part}:${name}`, [...(await checkpoint.read(`${part}:${name}`, count))]);
    }
  }
  const comparable = reports.map(({ seconds: _, tokensPerSecond: __, ...rest }) => rest);
  return { tensors, reports: comparable, position: checkpoint.position };
}

const collect = (into: StepReport[]) => (report: StepReport) => void into.push(report);

describe.each([
  ['samples of their own', {}],
  ['an f64 backend', { backend: createReferenceBackend({ precision: 'f64' }) }],
  [
    'carried states',
    {
      data: (position) =>
        cycle(
          [sample(16, 0), sample(11, 50), sample(16, 16, { continues: true })],
          (position as number | undefined) ?? 0,
        ),
      batch: { sequences: 3, context: 16, chunk: 7, carry: true },
    },
  ],
] satisfies [string, Partial<TrainOptions>][])('a run that goes on: %s', (_, more) => {
  test.each([
    ['in memory', async () => memoryCheckpoints()],
    ['on disk', async () => folderCheckpoints(join(await newFolder(), 'checkpoints'))],
  ])('6 updates are 3 and 3, to the bit: %s', async (_, makeStore) => {
    const [straight, halves] = [await makeStore(), await makeStore()];
    const [one, two]: [StepReport[], StepReport[]] = [[], []];
    await train(options({ ...more, checkpoints: straight, onStep: collect(one) }));

    const abort = new AbortController();
    const first = await train(
      options({
        ...more,
        checkpoints: halves,
        signal: abort.signal,
        onStep: (report) => {
          two.push(report);
          if (report.step === 3) abort.abort();
        },
      }),
    );
    expect(first).toMatchObject({ outcome: 'aborted', step: 3 });
    const second = await train(
      options({ ...more, checkpoints: halves, resume: true, onStep: collect(two) }),
    );
    expect(second).toMatchObject({ outcome: 'finished', step: 6 });
    expect(await halves.list()).toEqual([3, 6]);

    const [expected, got] = [await outcomeOf(straight, one), await outcomeOf(halves, two)];
    expect(got.reports).toEqual(expected.reports);
    expect(got.position).toEqual(expected.position);
    expect(got.tensors).toEqual(expected.tensors);
  });
});

test('the learned model is a model file with official names', async () => {
  const folder = await newFolder();
  await using trainer = await createTrainer({
    ...trainerOptions(),
    checkpoints: folderCheckpoints(folder),
  });
  await trainer.run();
  const source = await fileSource(join(folder, 'step-000006', 'model.safetensors'));
  await using file = await openModel(source);
  expect(file.layout).toBe('official');
  expect(file.config).toEqual(tinyConfig());
  expect(file.tensors.find(({ name }) => name === 'blocks.0.att.w1.weight')?.from).toEqual([
    'blocks.0.att.w1',
  ]);
  expect(await numbersOf(file as never)).toEqual(
    new Map([...(await numbersOf(trainer.model))].sort(byOrderOf(file.tensors))),
  );
});

function byOrderOf(tensors: readonly { readonly name: string }[]) {
  const order = new Map(tensors.map(({ name }, index) => [name, index]));
  return ([a]: [string, unknown], [b]: [string, unknown]) => order.get(a)! - order.get(b)!;
}

describe('folders', () => {
  test('keep the newest, and forget what was left half-written', async () => {
    const folder = await newFolder();
    await mkdir(join(folder, '.step-000001.abc123.part'));
    await writeFile(join(folder, 'notes.txt'), 'mine');
    const store = folderCheckpoints(folder);
    await train(options({ checkpoints: store, checkpointEvery: 1, keepCheckpoints: 2 }));
    expect((await readdir(folder)).sort()).toEqual(['notes.txt', 'step-000005', 'step-000006']);
    expect(await store.list()).toEqual([5, 6]);
    const files = await readdir(join(folder, 'step-000006'));
    expect(files.sort()).toEqual(['model.safetensors', 'training.json', 'training.safetensors']);
  });

  test('a checkpoint that fails half-way leaves the one before', async () => {
    const folder = await newFolder();
    const store = folderCheckpoints(folder);
    const failing: CheckpointStore = {
      ...store,
      create: async (step) => {
        const draft = await store.create(step);
        return step < 4 ? draft : { ...draft, sink: () => Promise.reject(new Error('disk full')) };
      },
    };
    const promise = train(options({ checkpoints: failing, checkpointEvery: 2 }));
    await expect(promise).rejects.toMatchObject({ code: 'CHECKPOINT_FAILED' });
    expect(await readdir(folder)).toEqual(['step-000002']);
    const resumed = await train(options({ checkpoints: store, resume: true }));
    expect(resumed).toMatchObject({ outcome: 'finished', step: 6 });
  });

  test('a checkpoint of the same step is replaced', async () => {
    const folder = await newFolder();
    const store = folderCheckpoints(folder);
    await using trainer = await createTrainer({
      ...trainerOptions(),
      steps: 1,
      checkpoints: store,
    });
    await trainer.run();
    await trainer.saveCheckpoint();
    expect(await readdir(folder)).toEqual(['step-000001']);
  });
});

describe('what cannot be gone on from is refused', () => {
  const written = async (): Promise<{ folder: string; store: CheckpointStore }> => {
    const folder = await newFolder();
    const store = folderCheckpoints(folder);
    await train(options({ checkpoints: store, steps: 1 }));
    return { folder, store };
  };
  const resume = (store: CheckpointStore, more: Partial<TrainOptions> = {}) =>
    train(options({ checkpoints: store, resume: true, ...more }));

  test('nothing', async () => {
    const store = folderCheckpoints(join(await newFolder(), 'none'));
    await expect(openCheckpoint(store)).rejects.toMatchObject({ code: 'CHECKPOINT_NOT_FOUND' });
    await expect(openCheckpoint((await written()).store, { step: 9 })).rejects.toThrow(
      /those of 1/,
    );
  });

  test('another model', async () => {
    const { store } = await written();
    await expect(resume(store, { model: tinyModel('7', 1) })).rejects.toMatchObject({
      code: 'CHECKPOINT_MISMATCH',
    });
  });

  test.each([
    ['no JSON', () => '{'],
    ['another version', (text: string) => text.replace('"version": 1', '"version": 9')],
    ['a step that is none', (text: string) => text.replace('"step": 1', '"step": -1')],
    [
      'a configuration that was changed',
      (text: string) => text.replace('"channels": 16', '"channels": 32'),
    ],
    ['a file outside the folder', (text: string) => text.replace('model.s', '../model.s')],
  ])('%s', async (_, change) => {
    const { folder, store } = await written();
    const file = join(folder, 'step-000001', 'training.json');
    await using source = await fileSource(file);
    const text = new TextDecoder().decode(await source.read(0, source.size));
    await writeFile(file, change(text));
    await expect(resume(store)).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID' });
  });
});
