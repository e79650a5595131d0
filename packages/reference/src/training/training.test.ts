/** The handle: slots, disposal, memory, bad input. */
import type { BackendError } from '@rwkv-ts/backend';
import { type HostWeight, type Program, type Training } from '@rwkv-ts/backend';
import { buildProgram } from '@rwkv-ts/model';
import { lower } from '@rwkv-ts/program';
import { describe, expect, it } from 'vitest';
import { smallConfigs } from '../../test/models.js';
import { hostWeights, randomWeights } from '../../test/random.js';
import { everything, trainingBatch, trainingLimits, withTraining } from '../../test/training.js';
import { createReferenceBackend, type ReferenceBackendOptions } from '../index.js';

const coarse = buildProgram(smallConfigs[5]!);
const probe = createReferenceBackend();
const program = lower(coarse, probe.supports.trainingOps!);
const weights = randomWeights(program);
const options = { trainable: everything(program), limits: trainingLimits };
const batch = trainingBatch({ slot: 0, tokens: [3, 1, 4, 1, 5] });
const update = {
  step: 1,
  learningRate: 1e-3,
  weightDecay: 0,
  betas: [0.9, 0.99],
  epsilon: 1e-8,
} as const;

const create = async (backendOptions: ReferenceBackendOptions = {}) => {
  const backend = createReferenceBackend(backendOptions);
  const training = await backend.createTraining(program, hostWeights(program, weights), options);
  return { backend, training };
};
const code = (expected: string) => expect.objectContaining({ code: expected }) as BackendError;
const dispose = (handle: AsyncDisposable) => handle[Symbol.asyncDispose]();

describe('slots', () => {
  it('copies states without their gradients, resets both', async () => {
    await withTraining({ precision: 'f32' }, { program: coarse }, async ({ training }) => {
      const initial = await training.readStates(0);
      await training.accumulate(batch);
      const moved = await training.readStates(0);
      expect(moved).not.toEqual(initial);
      training.copyStates(0, 1);
      expect(await training.readStates(1)).toEqual(moved);
      const name = 'blocks.0.att.wkv';
      const size = (await training.read(name, 'gradient')).length;
      training.collectInitialGradients(1);
      expect(await training.read(name, 'gradient')).toEqual(new Float32Array(size));
      training.collectInitialGradients(0);
      const collected = await training.read(name, 'gradient');
      expect(collected.some((number) => number !== 0)).toBe(true);
      training.collectInitialGradients(0);
      expect(await training.read(name, 'gradient')).toEqual(collected);
      await training.accumulate(batch);
      training.resetSlot(0);
      training.collectInitialGradients(0);
      expect(await training.read(name, 'gradient')).toEqual(collected);
      training.write(name, 'value', new Float32Array(size).fill(2));
      training.resetSlot(0);
      expect(await training.readStates(0)).not.toEqual(initial);
      training.writeStates(0, moved);
      expect(await training.readStates(0)).toEqual(moved);
    });
  });

  it.each([-1, 8, 0.5])('refuses slot %d', async (slot) => {
    const { backend, training } = await create();
    const calls = [
      () => {
        training.resetSlot(slot);
      },
      () => {
        training.copyStates(0, slot);
      },
      () => {
        training.copyStates(slot, 0);
      },
      () => {
        training.clearStateGradients(slot);
      },
      () => {
        training.collectInitialGradients(slot);
      },
      () => {
        training.writeStates(slot, new Uint8Array(0));
      },
    ];
    for (const call of calls) expect(call).toThrow(code('STATE_INVALID'));
    await expect(training.readStates(slot)).rejects.toThrow(code('STATE_INVALID'));
    expect(() => {
      training.writeStates(0, new Uint8Array(3));
    }).toThrow(code('STATE_INVALID'));
    await dispose(backend);
  });
});

describe('calls', () => {
  it('take effect in the order in which they were made', async () => {
    const run = async (wait: boolean) =>
      withTraining({ precision: 'f32' }, { program: coarse }, async ({ training }) => {
        const all: Promise<unknown>[] = [];
        for (let step = 1; step <= 3; step++) {
          training.resetSlot(0);
          all.push(training.accumulate(batch));
          training.collectInitialGradients(0);
          all.push(training.update({ ...update, step }));
          if (wait) await Promise.all(all);
        }
        const values = await Promise.all(
          program.weights.map(({ name }) => training.read(name, 'value')),
        );
        return { values, results: await Promise.all(all) };
      });
    expect(await run(false)).toEqual(await run(true));
  });

  it('let the event loop turn', async () => {
    const { backend, training } = await create();
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const long = trainingBatch({ slot: 0, tokens: Array.from({ length: 64 }, (_, t) => t % 37) });
    const runs = Array.from({ length: 10 }, () => training.accumulate(long));
    await Promise.all(runs);
    clearInterval(timer);
    expect(turns).toBeGreaterThan(0);
    await dispose(backend);
  });
});

describe('disposal', () => {
  it('waits for what is queued, frees everything, and is final', async () => {
    const { backend, training } = await create();
    expect(backend.bytes).toBe(training.bytes);
    expect(training.bytes).toBeGreaterThan(0);
    const running = training.accumulate(batch);
    const gone = Promise.all([dispose(training), dispose(training)]);
    await expect(running).resolves.toBeGreaterThan(0);
    await gone;
    expect(backend.bytes).toBe(0);
    const calls: (() => unknown)[] = [
      () => training.evaluate(batch),
      () => training.accumulate(batch),
      () => training.update(update),
      () => training.read('emb.weight', 'value'),
      () => training.readStates(0),
    ];
    for (const call of calls) {
      await expect(call() as Promise<unknown>).rejects.toThrow(code('DISPOSED'));
    }
    expect(() => {
      training.resetSlot(0);
    }).toThrow(code('DISPOSED'));
    expect(() => {
      training.write('emb.weight', 'value', new Float32Array(555));
    }).toThrow(code('DISPOSED'));
    await dispose(backend);
  });

  it('comes with the backend, also while weights arrive', async () => {
    const { backend, training } = await create();
    await dispose(backend);
    expect(backend.bytes).toBe(0);
    await expect(training.evaluate(batch)).rejects.toThrow(code('DISPOSED'));

    const other = createReferenceBackend();
    async function* arriving(): AsyncGenerator<HostWeight> {
      for await (const weight of hostWeights(program, weights)) {
        yield weight;
        await dispose(other);
      }
    }
    await expect(other.createTraining(program, arriving(), options)).rejects.toThrow(
      code('DISPOSED'),
    );
    expect(other.bytes).toBe(0);
  });
});

describe('memory', () => {
  it('is refused above the limit, whatever step would pass it, and leaves nothing behind', async () => {
    const { backend, training } = await create();
    const needed = training.bytes;
    await dispose(backend);
    for (const share of [0.01, 0.3, 0.6, 0.9, 0.999]) {
      const small = createReferenceBackend({ memoryLimit: Math.floor(needed * share) });
      const making = small.createTraining(program, hostWeights(program, weights), options);
      await expect(making).rejects.toThrow(code('OUT_OF_MEMORY'));
      expect(small.bytes).toBe(0);
      await dispose(small);
    }
    const enough = createReferenceBackend({ memoryLimit: needed });
    await enough.createTraining(program, hostWeights(program, weights), options);
    expect(enough.bytes).toBe(needed);
    await dispose(enough);
  });

  it('grows with tokens but for what recurrences compute again, by no more than the values themselves', async () => {
    const bytesAt = (tokens: number) =>
      withTraining(
        { precision: 'f32' },
        { program: coarse, limits: { tokens, sequences: 1, wanted: 1, slots: 1 } },
        async ({ training }) => training.bytes,
      );
    const [short, long] = [await bytesAt(256), await bytesAt(1024)];
    expect(long).toBeLessThan(4 * short);
  });
});

describe('bad input', () => {
  async function rejected(call: (training: Training) => unknown): Promise<unknown> {
    const { backend, training } = await create();
    const states = await training.readStates(0);
    let error: unknown;
    try {
      await call(training);
    } catch (caught) {
      error = caught;
    }
    expect(await training.readStates(0)).toEqual(states);
    expect((await training.read('emb.weight', 'gradient')).every((number) => number === 0)).toBe(
      true,
    );
    await dispose(backend);
    return error;
  }

  it.each([
    ['a target', { ...batch, targets: Uint32Array.of(1, 2, 3, 4, 37) }],
    ['a token', { ...batch, tokens: Uint32Array.of(1, 2, 3, 4, 37) }],
    ['a weight', { ...batch, lossWeights: Float32Array.of(1, 1, 1, 1, Number.NaN) }],
    ['a slot', { ...batch, slots: Uint32Array.of(8) }],
  ])('%s out of range is BATCH_INVALID and changes nothing', async (_, wrong) => {
    expect(await rejected((training) => training.accumulate(wrong))).toEqual(code('BATCH_INVALID'));
    expect(await rejected((training) => training.evaluate(wrong))).toEqual(code('BATCH_INVALID'));
  });

  it.each<[string, (training: Training) => unknown]>([
    ['a scale that is not finite', (training) => training.accumulate(batch, { scale: Infinity })],
    ['a penalty below 0', (training) => training.accumulate(batch, { largestLogitPenalty: -1 })],
    ['a step of 0', (training) => training.update({ ...update, step: 0 })],
    ['an unknown name', (training) => training.read('nothing', 'value')],
    ['an unknown part', (training) => training.read('emb.weight', 'slope' as 'value')],
    [
      'another length',
      (training) => {
        training.write('emb.weight', 'value', new Float32Array(3));
      },
    ],
    [
      'another type',
      (training) => {
        training.write('emb.weight', 'value', [1] as unknown as Float32Array);
      },
    ],
  ])('%s is a TypeError', async (_, call) => {
    expect(await rejected(call)).toBeInstanceOf(TypeError);
  });

  const making = async (
    over: Partial<{ program: Program; weights: AsyncIterable<HostWeight>; options: object }>,
  ) => {
    await using backend = createReferenceBackend();
    const parts = { program, weights: hostWeights(program, weights), options, ...over };
    const result = backend.createTraining(
      parts.program,
      parts.weights,
      parts.options as typeof options,
    );
    try {
      await result;
    } finally {
      expect(backend.bytes).toBe(0);
    }
  };
  const without = { ...program, weights: program.weights.slice(1) };

  it('in createTraining is refused, and nothing is kept', async () => {
    await expect(making({ program: coarse })).rejects.toThrow(code('UNSUPPORTED_OP'));
    await expect(making({ program: without })).rejects.toThrow(code('PROGRAM_INVALID'));
    await expect(making({ weights: hostWeights(without, weights) })).rejects.toThrow(
      code('PROGRAM_INVALID'),
    );
    async function* twice(): AsyncGenerator<HostWeight> {
      yield* hostWeights(program, weights);
      yield* hostWeights(program, weights);
    }
    await expect(making({ weights: twice() })).rejects.toThrow(code('WEIGHT_INVALID'));
    async function* failing(): AsyncGenerator<HostWeight> {
      yield* hostWeights(program, weights);
      throw new RangeError('the file ended');
    }
    await expect(making({ weights: failing() })).rejects.toThrow(new RangeError('the file ended'));
    const unknown = [{ kind: 'weight', name: 'nothing' }];
    await expect(making({ options: { ...options, trainable: unknown } })).rejects.toThrow(
      TypeError,
    );
  });

  it('leaves aside candidates, and weights that the program does not name', async () => {
    await using backend = createReferenceBackend();
    const withCandidates = lower(
      buildProgram(smallConfigs[5]!, { candidates: 4 }),
      backend.supports.ops,
    );
    async function* more(): AsyncGenerator<HostWeight> {
      yield { name: 'extra', shape: [1], format: 'f32', bytes: new Uint8Array(4) };
      yield* hostWeights(program, weights);
    }
    const training = await backend.createTraining(withCandidates, more(), options);
    expect(await training.evaluate(batch)).toBeGreaterThan(0);
  });
});

it('what does not learn keeps no gradient, and trains nothing where nothing is trainable', async () => {
  const parts = { program: coarse, trainable: [] };
  await withTraining({ precision: 'f64' }, parts, async ({ training }) => {
    const loss = await training.evaluate(batch);
    training.resetSlot(0);
    expect(await training.accumulate(batch)).toBe(loss);
    expect(await training.update(update)).toEqual({ gradientNorm: 0, applied: true });
    await expect(training.read('emb.weight', 'value')).rejects.toThrow(TypeError);
  });
});
