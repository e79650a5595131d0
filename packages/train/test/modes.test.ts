import { createReferenceBackend } from '@rwkv-ts/reference';
import {
  ggufFormats,
  memorySink,
  memorySource,
  type ModelFile,
  openModel,
  openStateFile,
  writeGguf,
  writeSafetensors,
} from '@rwkv-ts/weights';
import { describe, expect, test } from 'vitest';
import {
  createTrainer,
  loraTraining,
  memoryCheckpoints,
  openCheckpoint,
  stateTuning,
  type Trainer,
  train,
  type TrainerOptions,
  type TrainingMode,
} from '../src/index.js';
import { cycle, numbersOf, sample, tinyConfig, tinyModel, windows } from './tiny.js';

type Version = '4' | '5.2' | '6' | '7';

const learning = {
  steps: 6,
  batch: { sequences: 2, context: 16, chunk: 9 },
  optimizer: { learningRate: { peak: 2e-2, warmupSteps: 0 }, weightDecay: 0 },
};

/** A file of a model that knows a little: in a new one, nothing depends on the past. */
async function baseBytes(version: Version): Promise<Uint8Array> {
  await using trainer = await createTrainer({
    backend: createReferenceBackend(),
    model: tinyModel(version),
    data: windows(),
    ...learning,
    steps: 4,
  });
  await trainer.run();
  const sink = memorySink();
  await writeSafetensors(trainer.model, sink, { layout: 'official' });
  return sink.bytes();
}
const bases = new Map<Version, Promise<Uint8Array>>();
async function baseOf(version: Version): Promise<ModelFile> {
  const bytes = bases.get(version) ?? baseBytes(version);
  bases.set(version, bytes);
  return openModel(memorySource(await bytes));
}

/** What the base has not seen: it counts down. */
const backwards = [0, 100].map((begin) => {
  const { tokens, targets } = sample(16, begin);
  return { tokens: targets.reverse(), targets: tokens.reverse() };
});
const validation = { stream: () => cycle(backwards), samples: 2 };

async function tune(
  version: Version,
  mode: TrainingMode,
  { use, ...more }: Partial<TrainerOptions> & { use: (trainer: Trainer) => Promise<void> },
): Promise<number[]> {
  await using model = await baseOf(version);
  const losses: number[] = [];
  await using trainer = await createTrainer({
    backend: createReferenceBackend(),
    model,
    mode,
    data: cycle(backwards),
    onStep: ({ loss }) => void losses.push(loss),
    ...learning,
    ...more,
  });
  await trainer.run();
  await use(trainer);
  return losses;
}

async function learnedBytes(trainer: Trainer): Promise<Uint8Array> {
  const sink = memorySink();
  await trainer.learned.write(sink);
  return sink.bytes();
}

async function lossOf(model: ModelFile | Trainer['model'], mode?: TrainingMode): Promise<number> {
  await using trainer = await createTrainer({
    backend: createReferenceBackend({ precision: 'f64' }),
    model,
    mode,
    data: windows(),
    ...learning,
  });
  return (await trainer.evaluate(validation)).loss;
}

describe.each(['4', '5.2', '6', '7'] as const)('LoRA on RWKV-%s', (version) => {
  test('learns beside a frozen base, and its file gives the merged model', async () => {
    await using base = await baseOf(version);
    const before = await lossOf(base);
    const losses = await tune(version, loraTraining({ rank: 3, alpha: 5 }), {
      steps: 20,
      use: async (trainer) => {
        expect(trainer.learned.name).toBe('adapter.safetensors');
        const source = memorySource(await learnedBytes(trainer), { name: 'adapter.safetensors' });
        await using loaded = await openModel(memorySource(await bases.get(version)!), {
          adapters: [{ source }],
        });
        const [merged, expected] = [await numbersOf(trainer.model), await numbersOf(loaded)];
        expect(merged).toEqual(expected);
        const original = await numbersOf(base);
        const changed = [...merged].filter(([name, values]) => {
          const old = original.get(name)!;
          return values.some((value, index) => value !== old[index]);
        });
        const perBlock = version === '7' ? 6 : version === '4' ? 7 : 8;
        expect(changed).toHaveLength(2 * perBlock);
        const told = await trainer.evaluate(validation);
        expect(await lossOf(loaded)).toBeCloseTo(told.loss, 4);
        expect(told.loss).toBeLessThan(0.9 * before);
      },
    });
    // B is zero at first: the first loss is the base's.
    expect(losses[0]).toBeCloseTo(before, 4);
  });
});

test('LoRA on a quantised base, with targets of its own', async () => {
  await using base = await baseOf('7');
  const sink = memorySink();
  await writeGguf(base, sink, { formats: ggufFormats('q8_0') });
  const bytes = sink.bytes();
  await using model = await openModel(memorySource(bytes));
  await using trainer = await createTrainer({
    backend: createReferenceBackend(),
    model,
    mode: loraTraining({ rank: 2, targets: ['att.value', 'head'] }),
    data: windows(),
    ...learning,
  });
  await trainer.run();
  await using adapted = await openModel(memorySource(bytes), {
    adapters: [{ source: memorySource(await learnedBytes(trainer), { name: 'a.safetensors' }) }],
  });
  expect(await numbersOf(adapted)).toEqual(await numbersOf(trainer.model));
  const names = adapted.tensors.filter(({ format }) => format === 'f32').map(({ name }) => name);
  expect(names).toEqual(
    expect.arrayContaining([
      'blocks.0.att.value.weight',
      'blocks.1.att.value.weight',
      'head.weight',
    ]),
  );
});

describe.each(['5.2', '6', '7'] as const)('state tuning of RWKV-%s', (version) => {
  test('lowers the loss with the initial states alone, which the reader reads', async () => {
    await using base = await baseOf(version);
    const before = await lossOf(base);
    const states = new Map<string, Float32Array>();
    const losses = await tune(version, stateTuning(), {
      steps: 20,
      optimizer: { learningRate: { peak: 0.3, warmupSteps: 0 }, weightDecay: 0 },
      use: async (trainer) => {
        for (const [name, values] of (await trainer.initialStates())!) states.set(name, values);
        const source = memorySource(await learnedBytes(trainer), { name: trainer.learned.name });
        expect(await openStateFile(source, { config: tinyConfig(version) })).toEqual(states);
        expect(await numbersOf(trainer.model)).toEqual(await numbersOf(base));
        const told = await trainer.evaluate(validation);
        expect(told.loss).toBeLessThan(0.998 * before);
        const loaded = await lossOf(base, stateTuning({ start: states }));
        expect(loaded).toBeCloseTo(told.loss, 4);
      },
    });
    expect(losses[0]).toBeCloseTo(before, 4);
    expect([...states.keys()]).toEqual(['blocks.0.att.wkv', 'blocks.1.att.wkv']);
  });
});

describe.each([
  ['LoRA', () => loraTraining({ rank: 2 })],
  ['state tuning', () => stateTuning()],
])('checkpoints of %s', (_, mode) => {
  test('6 updates are 3 and 3, to the bit; the base must be the same', async () => {
    const [straight, halves] = [memoryCheckpoints(), memoryCheckpoints()];
    const go = async (steps: number, checkpoints: typeof halves, version: Version = '7') => {
      await using model = await baseOf(version);
      await train({
        backend: createReferenceBackend(),
        model,
        mode: mode(),
        data: (position) => windows(16, position),
        checkpoints,
        resume: true,
        ...learning,
        optimizer: { ...learning.optimizer, learningRate: { peak: 1e-2, decay: 'constant' } },
        steps,
      });
    };
    await go(6, straight);
    await go(3, halves);
    await go(6, halves);
    const tensors = async (store: typeof halves): Promise<Uint8Array[]> => {
      const files = ['training.safetensors', (await openCheckpoint(store)).state.learned];
      return Promise.all(
        files.map(async (file) => {
          await using source = await store.open(6, file);
          return await source.read(0, source.size);
        }),
      );
    };
    expect(await tensors(halves)).toEqual(await tensors(straight));

    await using model = tinyModelFile();
    await using checkpoint = await openCheckpoint(halves);
    const other = createTrainer({
      backend: createReferenceBackend(),
      model,
      mode: mode(),
      data: windows(),
      resume: checkpoint,
      ...learning,
    });
    await expect(other).rejects.toMatchObject({ code: 'CHECKPOINT_MISMATCH' });
    const kind = createTrainer({
      backend: createReferenceBackend(),
      model,
      data: windows(),
      resume: checkpoint,
      ...learning,
    });
    await expect(kind).rejects.toThrow(/a training of the kind/);
  });
});

/** The same configuration with other weights. */
function tinyModelFile(): Trainer['model'] & AsyncDisposable {
  return { ...tinyModel(), async [Symbol.asyncDispose]() {} };
}

test('what cannot be adapted or tuned is refused', async () => {
  const options = { backend: createReferenceBackend(), data: windows(), ...learning };
  const make = (mode: () => TrainingMode, version: Version = '7') =>
    (async () => createTrainer({ ...options, model: tinyModel(version), mode: mode() }))();
  await expect(make(() => stateTuning(), '4')).rejects.toMatchObject({ code: 'MODE_UNSUPPORTED' });
  for (const wrong of [{ rank: 0 }, { alpha: -1 }, { targets: ['att.nothing'] }, { seed: 0.5 }]) {
    await expect(make(() => loraTraining(wrong))).rejects.toMatchObject({ code: 'OPTION_INVALID' });
  }
});
