/** The machinery around the kernels: limits, what is given back, lost devices, and weights that no binding holds whole. */
import type { Batch, HostWeight, Limits, WeightFormat } from '@rwkv-ts/backend';
import { createRandomWeights } from '@rwkv-ts/backend-kit';
import { buildProgram, type RwkvConfig } from '@rwkv-ts/model';
import { createReferenceBackend } from '@rwkv-ts/reference';
import { describe, expect, test, vi } from 'vitest';
import { batchOf } from '../../backend-kit/conformance/batches.js';
import { handOver, open, openOracle } from '../../backend-kit/conformance/session.js';
import { tinyModel } from '../../backend-kit/conformance/tiny-models.js';
import { createWebGpuBackend, type WebGpuBackend, type WebGpuProgress } from '../src/index.node.js';
import { adapter, gpu, missing, tierDevice } from './adapter.js';

// Software drivers translate a kernel when it first runs, which takes seconds on a busy machine.
vi.setConfig({ testTimeout: 120_000 });

const tiny = tinyModel('7');
const step = batchOf([
  { slot: 0, tokens: [3, 1, 4, 1, 5] },
  { slot: 2, tokens: [9] },
]);

/** Wide enough for every block format, and for parts of 64 KiB. */
const config: RwkvConfig = {
  version: '7',
  layers: 2,
  channels: 256,
  channelMixSize: 512,
  vocabularySize: 613,
  normEpsilon: 1e-5,
  embeddingNorm: 'separate',
  heads: 4,
  headSize: 64,
  headNormEpsilon: 64e-5,
  ranks: { decay: 32, rate: 32, valueResidual: 32, gate: 32 },
};
const wide = (format: WeightFormat) => ({
  program: buildProgram(config),
  weights: createRandomWeights(config, { seed: 3, format }),
});

const failure = async (promise: Promise<unknown>): Promise<Record<string, unknown>> => {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(Error);
  return error as Record<string, unknown>;
};

describe.skipIf(!adapter)(`on ${adapter ? 'the adapter' : missing}`, () => {
  const device = tierDevice('plain');
  const create = async (options: Parameters<typeof createWebGpuBackend>[0] = {}) =>
    createWebGpuBackend({ device: await device(), ...options });

  describe('a backend', () => {
    test('needs no options, and takes the best tier', async () => {
      const stages: WebGpuProgress[] = [];
      await using backend = await createWebGpuBackend({
        onProgress: (stage) => stages.push(stage),
      });
      expect(backend.tier).toBe(adapter!.features.has('subgroups') ? 'subgroups' : 'plain');
      expect(backend.name).toMatch(/^webgpu (plain|subgroups), ./);
      expect(backend.bytes).toBe(0);
      await using session = await open(backend, tiny);
      await session.run(step);
      const pipelines = stages.filter(({ stage }) => stage === 'pipelines');
      expect(pipelines.length).toBeGreaterThan(5);
      expect(pipelines.at(-1)!.done).toBe(pipelines.at(-1)!.total);
      expect(backend.fallbacks).toEqual([]);
    });

    test('of an adapter, or of a way to find one', async () => {
      await using found = await createWebGpuBackend({ gpu, powerPreference: 'low-power' });
      await using given = await createWebGpuBackend({ adapter: (await gpu.requestAdapter())! });
      for (const backend of [found, given]) {
        await using session = await open(backend, tiny);
        expect((await session.run(step)).length).toBe(6 * 61);
      }
    });

    test('leaves a device alone that it was given, and ends with its own', async () => {
      const given = await device();
      await (await create())[Symbol.asyncDispose]();
      await using after = await create();
      await using session = await open(after, tiny);
      await session.run(step);
      expect(after.device).toBe(given);
      const own = await createWebGpuBackend({ gpu });
      const { lost } = own.device;
      await own[Symbol.asyncDispose]();
      expect((await lost).reason).toBe('destroyed');
    });

    test.each([
      { tier: 'fast' as unknown as 'plain' },
      { memoryLimit: -1 },
      { memoryLimit: NaN },
      { maxBindingBytes: 100 },
      { maxBindingBytes: '1' as unknown as number },
    ])('refuses options out of range: %o', async (options) => {
      expect(await failure(createWebGpuBackend(options))).toBeInstanceOf(TypeError);
    });

    test('without an adapter says so', async () => {
      const none = { requestAdapter: async () => null } as unknown as GPU;
      const broken = {
        requestAdapter: () => Promise.reject(new Error('no driver')),
      } as unknown as GPU;
      for (const each of [none, broken]) {
        const error = await failure(createWebGpuBackend({ gpu: each }));
        expect(error).toMatchObject({ name: 'BackendError', code: 'DEVICE_UNAVAILABLE' });
      }
      const noDevice = {
        features: new Set(),
        limits: {},
        info: { description: 'odd' },
        requestDevice: () => Promise.reject(new Error('no')),
      } as unknown as GPUAdapter;
      expect(await failure(createWebGpuBackend({ adapter: noDevice }))).toMatchObject({
        code: 'DEVICE_UNAVAILABLE',
      });
      expect(
        await failure(createWebGpuBackend({ adapter: noDevice, tier: 'subgroups' })),
      ).toMatchObject({ code: 'DEVICE_UNAVAILABLE' });
    });
  });

  describe('memory', () => {
    test('20 models later everything is back', async () => {
      await using backend = await create();
      const subject = wide('q8_0');
      for (let round = 0; round < 20; round++) {
        const session = await open(backend, subject);
        expect(backend.bytes).toBe(
          session.weights.bytes + session.states.bytes + session.executable.bytes,
        );
        await Promise.all([session.run(step), session.run(step)]);
        await session[Symbol.asyncDispose]();
        expect(backend.bytes).toBe(0);
      }
    });

    test('steps that wait for each other take what they need once', async () => {
      await using backend = await create();
      await using session = await open(backend, tiny);
      await session.run(step);
      await Promise.all(Array.from({ length: 5 }, () => session.run(step)));
      const after = backend.bytes;
      for (let round = 0; round < 50; round++) {
        await Promise.all(Array.from({ length: 5 }, () => session.run(step)));
        await session.states.read(round % 4);
      }
      expect(backend.bytes).toBe(after);
    });

    test('a limit is refused with both numbers, and what is there stays usable', async () => {
      await using measure = await create();
      const whole = await open(measure, tiny);
      const needs = { weights: whole.weights.bytes, states: whole.states.bytes };
      await using small = await create({ memoryLimit: needs.weights - 1 });
      const { program } = tiny;
      const refused = await failure(small.upload(handOver(tiny.weights), { program }));
      expect(refused['code']).toBe('OUT_OF_MEMORY');
      expect(refused['got'] as number).toBeGreaterThan(refused['expected'] as number);
      expect(small.bytes).toBe(0);

      await using exact = await create({ memoryLimit: needs.weights + needs.states });
      const weights = await exact.upload(handOver(tiny.weights), { program });
      const tooMany = await failure(exact.createStates(tiny.program.states, 9));
      expect(tooMany['code']).toBe('OUT_OF_MEMORY');
      expect(exact.bytes).toBe(needs.weights);
      const states = await exact.createStates(tiny.program.states, 4);
      const limits = { tokens: 8, sequences: 2, wanted: 8 };
      const compiled = await failure(exact.compile(tiny.program, { weights, states }, limits));
      expect(compiled['code']).toBe('OUT_OF_MEMORY');
      expect(exact.bytes).toBe(needs.weights + needs.states);
      expect((await states.read(3)).length).toBeGreaterThan(0);
    });

    test.each([2 ** 32, 2 ** 40, Number.MAX_SAFE_INTEGER])(
      '%d slots are refused',
      async (slots) => {
        await using backend = await create();
        const specs = [{ name: 'state', shape: [1024], initial: 1 }];
        const refused = await failure(backend.createStates(specs, slots));
        expect(refused).toMatchObject({ code: 'OUT_OF_MEMORY' });
        expect(refused['expected']).toBe(backend.device.limits.maxStorageBufferBindingSize);
        expect(backend.bytes).toBe(0);
      },
    );

    test('activations beyond a binding are refused', async () => {
      await using backend = await create();
      await using session = await open(backend, tiny);
      const { bytes } = backend;
      for (const tokens of [2 ** 22, 2 ** 45]) {
        const limits: Limits = { tokens, sequences: 1, wanted: 1 };
        const refused = await failure(backend.compile(tiny.program, session, limits));
        expect(refused).toMatchObject({ code: 'OUT_OF_MEMORY' });
        expect(refused['got'] as number).toBeGreaterThan(refused['expected'] as number);
        expect(backend.bytes).toBe(bytes);
      }
      await session.run(step);
    });
  });

  describe('weights in parts', () => {
    test.each(['f32', 'f16', 'q8_0', 'q5_1', 'q4_k', 'q6_k'] as const)(
      'of %s give the rows of whole ones',
      async (format) => {
        const subject = wide(format);
        await using backend = await create({ maxBindingBytes: 65_536 });
        await using session = await open(backend, subject);
        await using oracle = await openOracle(subject);
        const steps: readonly Batch[] = [
          batchOf([{ slot: 0, tokens: [612, 0, 63, 64, 65, 300] }]),
          batchOf([
            { slot: 1, tokens: [7] },
            { slot: 0, tokens: [611] },
          ]),
          batchOf(
            [{ slot: 3, tokens: Array.from({ length: 40 }, (_, t) => (t * 37) % 613) }],
            'last',
          ),
        ];
        for (const each of steps) {
          const [got, want] = [await session.run(each), await oracle.run(each)];
          const scale = Math.max(...Array.from(want, Math.abs));
          expect(got.length).toBe(want.length);
          for (const [index, value] of want.entries()) {
            if (Math.abs(got[index]! - value) > 5e-5 * scale) {
              expect.fail(`number ${index}: expected ${value}, got ${got[index]}`);
            }
          }
        }
      },
    );

    test('rows that no binding holds are refused', async () => {
      await using backend = await create({ maxBindingBytes: 65_536 });
      const weight: HostWeight = {
        name: 'long',
        shape: [64, 4096],
        format: 'f32',
        bytes: new Uint8Array(64 * 4096 * 4),
      };
      const refused = await failure(backend.upload(handOver([weight])));
      expect(refused).toMatchObject({ code: 'OUT_OF_MEMORY', expected: 65_536, got: 131_072 });
      expect(backend.bytes).toBe(0);
    });
  });

  describe('a lost device', () => {
    test('rejects what waits and what comes, and disposal ends', async () => {
      const backend = await createWebGpuBackend({ gpu });
      const session = await open(backend, tiny);
      await session.run(step);
      const pending = [session.run(step), session.run(step), session.states.read(0)];
      backend.device.destroy();
      const lost = { name: 'BackendError', code: 'DEVICE_LOST' };
      for (const result of await Promise.allSettled(pending)) {
        // What was done before the loss may have come through.
        if (result.status === 'rejected') expect(result.reason).toMatchObject(lost);
      }
      await backend.device.lost;
      expect(await failure(session.run(step))).toMatchObject(lost);
      expect(await failure(session.states.read(0))).toMatchObject(lost);
      session.states.reset(0);
      session.states.copy(0, 1);
      expect(await failure(backend.upload(handOver(tiny.weights)))).toMatchObject(lost);
      expect(await failure(backend.createStates(tiny.program.states, 1))).toMatchObject(lost);
      expect(await failure(backend.compile(tiny.program, session, { ...limits }))).toMatchObject(
        lost,
      );
      await session[Symbol.asyncDispose]();
      await backend[Symbol.asyncDispose]();
      expect(backend.bytes).toBe(0);
    });

    test('in the middle of an upload is told', async () => {
      const backend = await createWebGpuBackend({ gpu });
      async function* source(): AsyncGenerator<HostWeight> {
        let index = 0;
        for await (const weight of handOver(tiny.weights)) {
          if (index++ === 5) backend.device.destroy();
          yield weight;
        }
      }
      const refused = await failure(backend.upload(source()));
      expect(refused).toMatchObject({ code: 'DEVICE_LOST' });
      expect(backend.bytes).toBe(0);
      await backend[Symbol.asyncDispose]();
    });

    test('goes on elsewhere from the last snapshot', async () => {
      const lost = await createWebGpuBackend({ gpu });
      const before = await open(lost, tiny);
      await before.run(step);
      const snapshot = await before.states.read(0);
      const want = await before.run(batchOf([{ slot: 0, tokens: [7, 8] }]));
      lost.device.destroy();
      await lost[Symbol.asyncDispose]();
      await using backend = await create({ tier: 'auto' });
      await using after = await open(backend, tiny);
      after.states.write(1, snapshot);
      const got = await after.run(batchOf([{ slot: 1, tokens: [7, 8] }]));
      for (const [index, value] of want.entries()) expect(got[index]).toBeCloseTo(value, 3);
    });
  });

  describe('disposal', () => {
    test('of the backend during createStates, compile and upload', async () => {
      const backend: WebGpuBackend = await create();
      const weights = await backend.upload(handOver(tiny.weights));
      const states = await backend.createStates(tiny.program.states, 2);
      const making = [
        backend.compile(tiny.program, { weights, states }, limits),
        backend.createStates(tiny.program.states, 2),
        backend.upload(handOver(tiny.weights)),
      ].map(failure);
      await backend[Symbol.asyncDispose]();
      for (const error of await Promise.all(making)) expect(error['code']).toBe('DISPOSED');
      expect(backend.bytes).toBe(0);
    });

    test('waits for snapshots and steps', async () => {
      const backend = await create();
      const session = await open(backend, tiny);
      const waiting = Promise.all([session.run(step), session.states.read(0), session.run(step)]);
      await backend[Symbol.asyncDispose]();
      const [rows] = await waiting;
      await using reference = createReferenceBackend();
      expect(rows.length).toBe(6 * 61);
      expect(reference.bytes).toBe(0);
    });
  });

  test('a v7 layer takes 8 dispatches', async () => {
    await using backend = await create();
    const dispatches = async (layers: number): Promise<number> => {
      const each = { ...config, layers };
      const weights = createRandomWeights(each, { seed: 1 });
      await using session = await open(backend, { program: buildProgram(each), weights });
      return (
        session.executable as unknown as { countDispatches(limits: Limits): number }
      ).countDispatches({
        tokens: 1,
        wanted: 1,
        sequences: 1,
      });
    };
    expect((await dispatches(4)) - (await dispatches(3))).toBe(8);
  });
});

const limits: Limits = { tokens: 8, sequences: 2, wanted: 8 };
