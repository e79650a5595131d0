/** One model over several devices: the same bits as on one, and a share of memory on each. */
import type { HostWeight, Rows, StateSpec } from '@rwkv-ts/backend';
import { lower } from '@rwkv-ts/program';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { batchOf } from '../../backend-kit/conformance/batches.js';
import { handOver, primitiveKinds } from '../../backend-kit/conformance/session.js';
import { tinyModel, tinyVersions } from '../../backend-kit/conformance/tiny-models.js';
import type { CudaBackendOptions } from '../src/index.js';
import { createEmulated, emulation } from './emulated.js';
import {
  emulate,
  emulateNothing,
  firstStep,
  limits,
  type Model,
  open,
  program,
  rejection,
  secondStep,
  single,
  weights,
} from './split-model.js';

vi.setConfig({ testTimeout: 120_000 });
afterEach(emulateNothing);

/** Steps of several shapes, queued without waiting, then a slot's snapshot. */
async function play(options: CudaBackendOptions, model: Model) {
  await using backend = await createEmulated(options);
  const { states, executable } = await open(backend, model);
  const running: Promise<Rows>[] = [
    executable.run(firstStep),
    executable.run(secondStep),
    executable.run(batchOf([{ slot: 0, tokens: Array.from({ length: 20 }, (_, at) => at) }], [])),
  ];
  states.copy(0, 1);
  running.push(executable.run(batchOf([0, 1, 2].map((slot) => ({ slot, tokens: [7] })))));
  states.reset(2);
  running.push(executable.run(single([8], 2)));
  const rows = await Promise.all(running);
  return { rows, snapshots: await Promise.all([0, 1, 2].map((slot) => states.read(slot))) };
}

/** The rows of two steps with weights that were uploaded for no program. */
async function playUntold(options: CudaBackendOptions): Promise<Rows[]> {
  await using backend = await createEmulated(options);
  const uploaded = await backend.upload(handOver(weights()));
  const states = await backend.createStates(program.states, 3);
  const executable = await backend.compile(program, { weights: uploaded, states }, limits);
  return await Promise.all([executable.run(firstStep), executable.run(secondStep)]);
}

test('devices out of range are mistakes of the program', async () => {
  for (const options of [
    { device: 0, devices: [0, 1] },
    { devices: [] },
    { devices: [0, 0] },
    { devices: [0, -1] },
    { devices: 1 as never },
    { devices: [0, 1], shares: [1] },
    { devices: [0, 1], shares: [0, 0] },
    { devices: [0, 1], shares: [1, -1] },
    { devices: [0, 1], shares: [1, Number.NaN] },
    { devices: [0, 1], peerCopies: 'always' as 'auto' },
  ]) {
    await expect(createEmulated(options), JSON.stringify(options)).rejects.toThrow(TypeError);
  }
});

describe.skipIf(emulation.missing)(`emulated devices ${emulation.missing ?? ''}`, () => {
  test('what a backend says of its devices', async () => {
    emulate({ DEVICES: '3', MEMORY: '1000000,3000000,2000000' });
    await using backend = await createEmulated({ devices: [2, 0] });
    expect(backend.name).toBe('cuda:2,0 emulated device');
    expect(backend.devices).toMatchObject([
      { ordinal: 2, memoryBytes: 2_000_000 },
      { ordinal: 0, memoryBytes: 1_000_000 },
    ]);
    expect(backend.device).toBe(backend.devices[0]);
    expect(await backend.freeBytes()).toBe(3_000_000);
    expect(await backend.freeBytes(0)).toBe(1_000_000);
    await expect(backend.freeBytes(1)).rejects.toThrow(TypeError);
    const small = { copyBytes: 4096, seconds: 0 };
    const rates = await backend.measure({ ...small, device: 0 });
    expect(rates.copyBytesPerSecond).toBeGreaterThan(0);
    await expect(backend.measure({ ...small, device: 1 })).rejects.toThrow(TypeError);
    expect(backend.bytes).toBe(0);
  });

  test('one of them that is not there is the whole backend', async () => {
    const error = await rejection(createEmulated({ devices: [0, 5] }));
    expect(error).toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
      message: expect.stringContaining('there is no device 5; the NVIDIA driver has 2') as string,
    });
  });

  test.each(tinyVersions)('RWKV-%s: the bits of one device, whatever the way', async (version) => {
    const model = tinyModel(version);
    const want = await play({}, model);
    for (const [peers, devices] of [
      ['0', [0, 1]],
      ['1', [1, 0, 2]],
      ['broken', [0, 1]],
    ] as const) {
      emulate({ DEVICES: '3', PEERS: peers });
      const got = await play({ devices }, model);
      expect(got.rows, `rows, peers ${peers}`).toEqual(want.rows);
      expect(got.snapshots, `snapshots, peers ${peers}`).toEqual(want.snapshots);
    }
  });

  test('a program of primitives, too', async () => {
    const model = { program: lower(program, primitiveKinds), weights: weights() };
    const got = await play({ devices: [0, 1] }, model);
    expect(got).toEqual(await play({}, model));
  });

  test('copies go straight where that works, and else through the host', async () => {
    for (const [peers, peerCopies, code] of [
      ['1', 'auto', 'DEVICE_LOST'],
      ['1', 'never', undefined],
      ['broken', 'auto', undefined],
      ['0', 'auto', undefined],
    ] as const) {
      emulate({ PEERS: peers });
      await using backend = await createEmulated({ devices: [0, 1], peerCopies });
      const { executable } = await open(backend);
      emulate({ FAIL: 'cuMemcpyPeerAsync:1' });
      const outcome = executable.run(single([1])).then(() => undefined);
      if (code) await expect(outcome).rejects.toMatchObject({ code });
      else await outcome;
      emulate({ FAIL: '' });
    }
  });

  test.each([
    ['as much as it has free', { MEMORY: '8000000,4000000' }, undefined],
    ['what was asked for', {}, [2, 1]],
  ])('each device holds %s', async (_, settings, shares) => {
    emulate(settings);
    await using backend = await createEmulated({
      devices: [0, 1],
      ...(shares ? { shares } : {}),
    });
    const free = () => Promise.all([0, 1].map((device) => backend.freeBytes(device)));
    const before = await free();
    const uploaded = await backend.upload(handOver(weights()), { program });
    const after = await free();
    const [first, second] = after.map((bytes, at) => before[at]! - bytes) as [number, number];
    // One of six layers more or less, since they are not cut but in the middle.
    expect(first / (first + second)).toBeGreaterThan(2 / 3 - 1 / 6);
    expect(first / (first + second)).toBeLessThan(2 / 3 + 1 / 6);
    const table = 2 * 96 * 64;
    expect(first + second + table).toBe(uploaded.bytes);
    const states = await backend.createStates(program.states, 50);
    const stated = (await free()).map((bytes, at) => after[at]! - bytes);
    expect(stated[0]! + stated[1]!).toBe(states.bytes);
    expect(stated[0]! / states.bytes).toBeCloseTo(2 / 3, 1);
    const executable = await backend.compile(program, { weights: uploaded, states }, limits);
    await executable.run(single([1, 2, 3]));
    // Nothing but states was moved: no weight lies on both.
    const total = before[0]! + before[1]! - (await backend.freeBytes());
    const between = 4 * limits.tokens * 2 * 64;
    expect(total + table + between).toBeLessThanOrEqual(backend.bytes + 256);
    expect(uploaded.bytes).toBe(first + second + table);
  });

  test('a model too large for one device fits on two, and not where one must hold it all', async () => {
    // Each needs activations of its own, which are few in such steps.
    const model = { program, weights: weights(), limits: { tokens: 2, sequences: 1, wanted: 1 } };
    await using roomy = await createEmulated();
    await open(roomy, model);
    const MEMORY = String(Math.floor((2 ** 33 - (await roomy.freeBytes())) * 0.8));
    await roomy[Symbol.asyncDispose]();
    emulate({ MEMORY });
    await using alone = await createEmulated();
    expect(await rejection(open(alone, model))).toMatchObject({ code: 'OUT_OF_MEMORY' });
    await alone[Symbol.asyncDispose]();
    await using both = await createEmulated({ devices: [0, 1] });
    const { executable } = await open(both, model);
    expect((await executable.run(single([1, 2]))).length).toBe(96);
    await both[Symbol.asyncDispose]();
    await using uneven = await createEmulated({ devices: [0, 1], shares: [0, 1] });
    const error = await rejection(open(uneven, model));
    expect(error).toMatchObject({ code: 'OUT_OF_MEMORY', got: expect.any(Number) as number });
    expect(error.message).toMatch(
      /, on cuda:1 emulated device, needs \d+ bytes; available: \d+\.$/,
    );
    expect(error.expected).toBeLessThan(error.got as number);
    // The device without a share has been asked for nothing.
    expect(await uneven.freeBytes(0)).toBe(Number(MEMORY));
  });

  test('weights for no program spread, and compile brings them where they are needed', async () => {
    const want = await playUntold({});
    await using backend = await createEmulated({ devices: [0, 1] });
    const whole = await backend.freeBytes(0);
    const uploaded = await backend.upload(handOver(weights()));
    const held = await Promise.all([0, 1].map(async (at) => whole - (await backend.freeBytes(at))));
    expect(held[0]! / (held[0]! + held[1]!)).toBeCloseTo(0.5, 1);
    const states = await backend.createStates(program.states, 3);
    const bindings = { weights: uploaded, states };
    const executable = await backend.compile(program, bindings, limits);
    expect(await executable.run(firstStep)).toEqual(want[0]);
    const { bytes } = uploaded;
    const again = await backend.compile(program, bindings, { ...limits, tokens: 5 });
    expect(uploaded.bytes).toBe(bytes);
    expect(await again.run(secondStep)).toEqual(want[1]);
  });

  test('states that a program moves keep what was written before, and what is written meanwhile', async () => {
    await using backend = await createEmulated({ devices: [0, 1], shares: [4, 1] });
    const uploaded = await backend.upload(handOver(weights()), { program });
    // The largest is not the program's, so that the others lie otherwise than their weights.
    const extra: StateSpec = { name: 'extra', shape: [4000], initial: 0.5 };
    const slots = 100;
    const states = await backend.createStates([...program.states, extra], slots);
    const numbers = (await states.read(0)).length / 4;
    const snapshots = Array.from(
      { length: slots },
      (_, slot) => new Uint8Array(new Float32Array(numbers).fill(slot + 1).buffer),
    );
    const before = slots / 4;
    for (let slot = 0; slot < before; slot++) states.write(slot, snapshots[slot]!);
    const moved = { yet: false };
    const first = await backend.freeBytes(0);
    const compiling = backend
      .compile(program, { weights: uploaded, states }, limits)
      .finally(() => {
        moved.yet = true;
      });
    // A slot a turn, so that some are written between any two steps of a move.
    let written = before;
    const early: Promise<Uint8Array>[] = [];
    for (; !moved.yet && written < slots; written++) {
      states.write(written, snapshots[written]!);
      early.push(states.read(written));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await compiling;
    expect(await backend.freeBytes(0)).not.toBe(first);
    const others = (read: readonly Uint8Array[], from: number) =>
      read.flatMap((bytes, at) => (Buffer.compare(bytes, snapshots[from + at]!) === 0 ? [] : [at]));
    expect(others(await Promise.all(early), before)).toEqual([]);
    const late = Array.from({ length: written }, (_, slot) => states.read(slot));
    expect(others(await Promise.all(late), 0)).toEqual([]);
  });

  test('states that one executable uses stay, and others go to them', async () => {
    const want = await playUntold({});
    const given = { devices: [0, 1] };
    await using backend = await createEmulated(given);
    const states = await backend.createStates(program.states, 3);
    const untold = await backend.upload(handOver(weights()));
    const first = await backend.compile(program, { weights: untold, states }, limits);
    expect(await first.run(firstStep)).toEqual(want[0]);
    // Full of something else, the first device would now get less of the model.
    const filling: HostWeight = {
      name: 'filling',
      shape: [1 << 20],
      format: 'f32',
      bytes: new Uint8Array(1 << 22),
    };
    emulate({ MEMORY: '6000000,8000000' });
    await using filler = await createEmulated({ device: 0 });
    await filler.upload(handOver([filling]));
    const other = await backend.upload(handOver(weights()));
    const bindings = { weights: other, states };
    const second = await backend.compile(program, bindings, limits);
    expect(await second.run(secondStep)).toEqual(want[1]);
    // Nobody holds them any more.
    await first[Symbol.asyncDispose]();
    await second[Symbol.asyncDispose]();
    const third = await backend.upload(handOver(weights()), { program });
    const late = await backend.compile(program, { weights: third, states }, limits);
    await late.run(single([8]));
    const last = await backend.compile(program, bindings, limits);
    await last.run(single([8]));
  });

  test('candidates, and the output row behind them', async () => {
    const play = async (options: CudaBackendOptions) => {
      await using backend = await createEmulated(options);
      const { executable } = await open(backend);
      const rows = await executable.run({ ...single([3, 1, 4]), candidates: true });
      return [rows, await executable.outputRow!(0), await executable.run(single([1]))];
    };
    expect(await play({ devices: [0, 1] })).toEqual(await play({}));
  });
});
