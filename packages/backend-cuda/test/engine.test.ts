/** What a device may do to a program: be missing, full, or lost in the middle; and what is left when a backend goes. */
import { existsSync } from 'node:fs';
import { BackendError, type Batch, type HostWeight } from '@rwkv-ts/backend';
import { createRandomWeights } from '@rwkv-ts/backend-kit';
import { buildProgram, type RwkvConfig } from '@rwkv-ts/model';
import { lower } from '@rwkv-ts/program';
import { createReferenceBackend } from '@rwkv-ts/reference';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { handOver } from '../../backend-kit/conformance/session.js';
import { createCudaBackend, type CudaBackend } from '../src/index.js';
import { createEmulated, emulation } from './emulated.js';

vi.setConfig({ testTimeout: 120_000 });

const config: RwkvConfig = {
  version: '7',
  layers: 2,
  channels: 64,
  channelMixSize: 128,
  vocabularySize: 96,
  normEpsilon: 1e-5,
  embeddingNorm: 'separate',
  heads: 2,
  headSize: 32,
  headNormEpsilon: 64e-5,
  ranks: { decay: 16, rate: 16, valueResidual: 16, gate: 16 },
};
const program = buildProgram(config, { candidates: 4 });
const weights = (): HostWeight[] => createRandomWeights(config, { seed: 5, format: 'f16' });
const limits = { tokens: 24, sequences: 3, wanted: 4 };

const batchOf = (tokens: readonly number[], slot = 0): Batch => ({
  tokens: Uint32Array.from(tokens),
  starts: Uint32Array.of(0, tokens.length),
  slots: Uint32Array.of(slot),
  wanted: Uint32Array.of(tokens.length - 1),
});

async function open(backend: CudaBackend) {
  const uploaded = await backend.upload(handOver(weights()), { program });
  const states = await backend.createStates(program.states, 3);
  const executable = await backend.compile(program, { weights: uploaded, states }, limits);
  return { weights: uploaded, states, executable };
}

/** The emulation reads its settings from the environment at each call. */
function emulate(settings: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(settings))
    process.env[`RWKV_EMULATED_${name}`] = value;
}
afterEach(() => {
  for (const name of Object.keys(process.env)) {
    if (name.startsWith('RWKV_EMULATED_')) Reflect.deleteProperty(process.env, name);
  }
});

const rejection = (promise: Promise<unknown>): Promise<BackendError> =>
  promise.then(
    () => {
      throw new Error('It did not reject.');
    },
    (error: unknown) => error as BackendError,
  );

describe('without a device', () => {
  test('a driver that is not there is a typed error that says what helps', async () => {
    const error = await rejection(createCudaBackend({ driver: '/nowhere/libcuda.so.1' }));
    expect(BackendError.isInstance(error)).toBe(true);
    expect(error.code).toBe('DEVICE_UNAVAILABLE');
    expect(error.message).toMatch(/no NVIDIA driver: .*\nWhat helps: /);
  });

  test('a library that is no driver is one, too', async () => {
    const library = '/lib/x86_64-linux-gnu/libm.so.6';
    if (!existsSync(library)) return;
    const error = await rejection(createCudaBackend({ driver: library }));
    expect(error).toMatchObject({ code: 'DEVICE_UNAVAILABLE' });
    expect(error.message).toContain('has no cuInit');
  });

  test('options out of range are mistakes of the program', async () => {
    for (const options of [
      { device: -1 },
      { device: 1.5 },
      { memoryLimit: Number.NaN },
      { matrixUnits: 'always' as 'auto' },
      { sparseColumns: 1 as never },
      { spinMicroseconds: -1 },
      { driver: 7 as never },
    ]) {
      await expect(createCudaBackend(options)).rejects.toThrow(TypeError);
    }
  });
});

describe.skipIf(emulation.missing)(`emulated device ${emulation.missing ?? ''}`, () => {
  test('what the device says of itself', async () => {
    emulate({ CAPABILITY: '89' });
    await using backend = await createEmulated({ device: 1 });
    expect(backend.name).toBe('cuda:1 emulated device');
    expect(backend.device).toMatchObject({
      ordinal: 1,
      computeCapability: '8.9',
      driverVersion: '13.0',
      memoryBytes: 2 ** 33,
    });
  });

  test('a device that is not there, or too old', async () => {
    expect(await rejection(createEmulated({ device: 2 }))).toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
      message: expect.stringContaining('there is no device 2; the NVIDIA driver has 2') as string,
    });
    emulate({ CAPABILITY: '61' });
    const error = await rejection(createEmulated());
    expect(error).toMatchObject({ code: 'DEVICE_UNAVAILABLE', got: '6.1' });
  });

  test.each([
    ['cuInit', 'cuInit:100'],
    ['the context', 'cuDevicePrimaryCtxRetain:2'],
    ['the kernels', 'cuModuleLoadData:209'],
    ['a kernel', 'cuModuleGetFunction:500'],
  ])('%s fails', async (_, fail) => {
    emulate({ FAIL: fail });
    const error = await rejection(createEmulated());
    expect(BackendError.isInstance(error)).toBe(true);
    expect(['DEVICE_UNAVAILABLE', 'OUT_OF_MEMORY']).toContain(error.code);
  });

  test('the older matrix units, and none, agree with the reference', async () => {
    const tokens = Array.from({ length: 20 }, (_, index) => (index * 7) % 96);
    const reference = createReferenceBackend({ precision: 'f32' });
    const uploaded = await reference.upload(handOver(weights()));
    const states = await reference.createStates(program.states, 1);
    const bindings = { weights: uploaded, states };
    const lowered = lower(program, reference.supports.ops);
    const executable = await reference.compile(lowered, bindings, limits);
    const want = await executable.run(batchOf(tokens));
    const largest = Math.max(...Array.from(want, Math.abs));
    for (const capability of ['75', '80', '120']) {
      emulate({ CAPABILITY: capability });
      await using backend = await createEmulated();
      const { executable: own } = await open(backend);
      const got = await own.run(batchOf(tokens));
      const worst = Math.max(...Array.from(got, (value, index) => Math.abs(value - want[index]!)));
      expect(worst / largest, capability).toBeLessThan(4e-3);
    }
  });

  test('threads in any order give the same bits', async () => {
    const rows: Float32Array[] = [];
    for (const order of ['forward', 'reverse', 'shuffled']) {
      emulate({ ORDER: order });
      await using backend = await createEmulated();
      const { executable } = await open(backend);
      await executable.run(batchOf([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]));
      rows.push((await executable.run(batchOf([13]))) as Float32Array);
    }
    expect(rows[1]).toEqual(rows[0]);
    expect(rows[2]).toEqual(rows[0]);
  });

  test('memory is refused before it is asked for, with both numbers', async () => {
    await using limited = await createEmulated({ memoryLimit: 30_000 });
    const refused = await rejection(open(limited));
    expect(refused).toMatchObject({ code: 'OUT_OF_MEMORY', got: expect.any(Number) as number });
    expect(refused.expected).toBeLessThan(30_000);
    expect(limited.bytes).toBe(0);
    emulate({ MEMORY: '60000' });
    await using small = await createEmulated();
    const full = await rejection(open(small));
    expect(full).toMatchObject({ code: 'OUT_OF_MEMORY', got: expect.any(Number) as number });
    expect(full.expected).toBeLessThan(60_000);
    expect(small.bytes).toBe(0);
  });

  test('a driver that refuses memory all the same', async () => {
    emulate({ FAIL: 'cuMemAlloc_v2:2:3' });
    await using backend = await createEmulated();
    expect(await rejection(open(backend))).toMatchObject({ code: 'OUT_OF_MEMORY' });
    expect(backend.bytes).toBe(0);
  });

  test('a device that is lost says so from then on, and can still be disposed of', async () => {
    const backend = await createEmulated();
    const { executable, states } = await open(backend);
    await executable.run(batchOf([1, 2, 3]));
    emulate({ FAIL: 'execution:719' });
    expect(await rejection(executable.run(batchOf([4])))).toMatchObject({ code: 'DEVICE_LOST' });
    expect(await rejection(executable.run(batchOf([4])))).toMatchObject({ code: 'DEVICE_LOST' });
    expect(await rejection(states.read(0))).toMatchObject({ code: 'DEVICE_LOST' });
    states.reset(0);
    expect(await rejection(states.read(0))).toMatchObject({ code: 'DEVICE_LOST' });
    await backend[Symbol.asyncDispose]();
    expect(backend.bytes).toBe(0);
  });

  test('a step that could not be captured is tried anew', async () => {
    await using backend = await createEmulated();
    const { executable } = await open(backend);
    emulate({ FAIL: 'cuGraphInstantiateWithFlags:2' });
    expect(await rejection(executable.run(batchOf([1, 2])))).toMatchObject({
      code: 'OUT_OF_MEMORY',
    });
    emulate({ FAIL: '' });
    const rows = await executable.run(batchOf([1, 2]));
    expect(rows.every(Number.isFinite)).toBe(true);
  });

  test('a failed step keeps no output rows', async () => {
    await using backend = await createEmulated();
    const { executable } = await open(backend);
    await executable.run({ ...batchOf([1, 2]), candidates: true });
    expect((await executable.outputRow!(0)).length).toBe(96);
    emulate({ FAIL: 'cuGraphLaunch:1' });
    await rejection(executable.run({ ...batchOf([3]), candidates: true }));
    emulate({ FAIL: '' });
    expect(await rejection(executable.outputRow!(0))).toMatchObject({ code: 'BATCH_INVALID' });
  });

  test('more buckets than graphs are kept', async () => {
    const narrow = { ...config, layers: 1, channels: 32, channelMixSize: 32, heads: 1 };
    const small = buildProgram(narrow, { candidates: 2 });
    await using backend = await createEmulated();
    const uploaded = await backend.upload(handOver(createRandomWeights(narrow, { seed: 6 })));
    const states = await backend.createStates(small.states, 8);
    const bindings = { weights: uploaded, states };
    const wide = { tokens: 8, sequences: 8, wanted: 8 };
    const executable = await backend.compile(small, bindings, wide);
    const first = await executable.run(batchOf([5]));
    let steps = 0;
    for (let tokens = 1; tokens <= 8; tokens++) {
      for (const wanted of [0, 1, 2, 4].filter((count) => count <= tokens)) {
        for (const sequences of [1, 2, 4].filter((count) => count <= tokens)) {
          const starts = Array.from({ length: sequences }, (_, index) => index);
          const batch = {
            tokens: new Uint32Array(tokens).fill(3),
            starts: Uint32Array.from([...starts, tokens]),
            slots: Uint32Array.from(starts),
            wanted: Uint32Array.from({ length: wanted }, (_, index) => index),
          };
          for (const candidates of [false, true]) await executable.run({ ...batch, candidates });
          steps += 2;
        }
      }
    }
    expect(steps).toBeGreaterThan(120);
    states.reset(0);
    expect(await executable.run(batchOf([5]))).toEqual(first);
  });

  test('twenty models come and go, and leave nothing', async () => {
    await using backend = await createEmulated();
    for (let cycle = 0; cycle < 20; cycle++) {
      const handles = await open(backend);
      await handles.executable.run(batchOf([1]));
      expect(backend.bytes).toBeGreaterThan(0);
      for (const handle of [handles.executable, handles.states, handles.weights])
        await handle[Symbol.asyncDispose]();
      expect(backend.bytes).toBe(0);
    }
  });

  test('two devices hold a model each', async () => {
    await using one = await createEmulated({ device: 0 });
    await using other = await createEmulated({ device: 1 });
    const [first, second] = [await open(one), await open(other)];
    const [here, there] = await Promise.all([
      first.executable.run(batchOf([1, 2, 3])),
      second.executable.run(batchOf([1, 2, 3])),
    ]);
    expect(here).toEqual(there);
  });
});
