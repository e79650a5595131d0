/** Matrices in columns: what zeros meet is not read, and whatever else reads such a matrix finds its numbers. */
import type { WeightFormat } from '@rwkv-ts/backend';
import { decode } from '@rwkv-ts/formats';
import { describe, expect, test, vi } from 'vitest';
import { batchOf } from '../../backend-kit/conformance/batches.js';
import { OpScope } from '../../backend-kit/conformance/op-scope.js';
import { handOver, open, openOracle } from '../../backend-kit/conformance/session.js';
import { createWebGpuBackend, type WebGpuBackendOptions } from '../src/index.node.js';
import { adapter, gpu, missing, tierDevice, tiers } from './adapter.js';

// Software drivers translate a kernel when it first runs, which takes seconds on a busy machine.
vi.setConfig({ testTimeout: 300_000 });

const [width, hidden, outs] = [64, 1100, 40];
const isDead = (unit: number) => unit % 5 === 2;

/** A channel mix of whose hidden units every fifth is always 0, and meets `dead` in the second matrix. */
function channelMix({ format, dead }: { format: WeightFormat; dead?: number }) {
  const scope = new OpScope({ seed: 41, format });
  const [x, k, out] = [scope.input(width), scope.value(hidden), scope.value(outs)];
  let at = 0;
  const key = scope.matrix(hidden, width, (random) => {
    const unit = Math.floor(at++ / width);
    return isDead(unit) ? 0 : random.normal() / 8;
  });
  let place = 0;
  const value = scope.matrix(outs, hidden, (random) => {
    const number = random.normal() / 32;
    return isDead(place++ % hidden) && dead !== undefined ? dead : number;
  });
  scope.emit({ kind: 'linear', out: k, x, weight: key, activation: 'relu2' });
  scope.emit({ kind: 'matmul', out, x: k, weight: value });
  return { program: scope.program(out), weights: scope.hostWeights, value };
}

const steps = [1, 3, 6, 33].map((rows) =>
  batchOf([{ slot: 0, tokens: Array.from({ length: rows }, (_, t) => (5 * t + 1) % 61) }]),
);

describe.skipIf(!adapter)(`on ${adapter ? 'the adapter' : missing}`, () => {
  const device = tierDevice(tiers[0]!);
  const create = async (options: WebGpuBackendOptions = {}) =>
    createWebGpuBackend({ device: await device(), ...options });

  test.each(['f32', 'f16', 'bf16'] as const)('%s, for one row and more', async (format) => {
    const subject = channelMix({ format });
    await using backend = await create();
    await using session = await open(backend, subject);
    await using oracle = await openOracle(subject);
    for (const step of steps) {
      const [got, want] = [await session.run(step), await oracle.run(step)];
      for (const [n, value] of want.entries()) expect(got[n]).toBeCloseTo(value, 4);
      expect(await session.run(step)).toEqual(got);
    }
    expect(backend.fallbacks).toEqual([]);
  });

  test('columns that only zeros meet are not read, in steps of few rows', async () => {
    const subject = channelMix({ format: 'f16', dead: Infinity });
    const areFinite = async (sparseColumns: 'auto' | 'never') => {
      await using backend = await create({ sparseColumns });
      await using session = await open(backend, subject);
      const finite: boolean[] = [];
      for (const step of steps) finite.push((await session.run(step)).every(Number.isFinite));
      return finite;
    };
    expect(await areFinite('auto')).toEqual([true, true, true, false]);
    expect(await areFinite('never')).toEqual([false, false, false, false]);
  });

  test('a program that was not told of reads rows of them', async () => {
    const { program, weights, value } = channelMix({ format: 'bf16' });
    const scope = new OpScope({ seed: 1 });
    const out = scope.value(hidden);
    scope.emit({ kind: 'embed', out, table: value, by: 'token' });
    const named = program.weights.filter(({ name }) => name === value);
    const rows = { ...scope.program(out), weights: named };
    await using backend = await create();
    const uploaded = await backend.upload(handOver(weights), { program });
    const states = await backend.createStates([], 1);
    const limits = { tokens: 3, sequences: 1, wanted: 3 };
    const executable = await backend.compile(rows, { weights: uploaded, states }, limits);
    const got = await executable.run(batchOf([{ slot: 0, tokens: [39, 0, 7] }]));
    const matrix = decode('bf16', weights.find(({ name }) => name === value)!.bytes);
    const want = [39, 0, 7].flatMap((row) => [
      ...matrix.subarray(row * hidden, (row + 1) * hidden),
    ]);
    expect([...got]).toEqual(want);
  });

  test('other words are refused', async () => {
    const sparseColumns = 'sometimes' as unknown as 'auto';
    await expect(createWebGpuBackend({ gpu, sparseColumns })).rejects.toThrow(TypeError);
  });
});
