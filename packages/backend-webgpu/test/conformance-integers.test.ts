/** Products of integers, for all numbers of rows: what the conformance suite allows a backend that rounds activations. */
import { runConformance } from '@rwkv-ts/backend-kit/conformance';
import type { WeightFormat } from '@rwkv-ts/backend';
import { describe, expect, test, vi } from 'vitest';
import { open } from '../../backend-kit/conformance/session.js';
import { OpScope } from '../../backend-kit/conformance/op-scope.js';
import { batchOf } from '../../backend-kit/conformance/batches.js';
import { deviceContext } from '../src/device/device-context.js';
import { createWebGpuBackend, type IntegerProducts } from '../src/index.node.js';
import { adapter, gpu, missing, tierDevice, tiers } from './adapter.js';

// Software drivers translate these kernels when they first run, which takes tens of seconds on a busy machine.
vi.setConfig({ testTimeout: 300_000 });

describe.skipIf(!adapter)(`on ${adapter ? 'the adapter' : missing}`, () => {
  const device = tierDevice(tiers[0]!);
  const create = async (integerProducts: IntegerProducts) =>
    createWebGpuBackend({ device: await device(), integerProducts });

  runConformance({ describe, test, create: () => create('always'), groups: ['formats'] });

  /** Rows of a product of `rows` rows with a matrix of the format. */
  async function product(
    backend: Awaited<ReturnType<typeof create>>,
    { format, rows }: { format: WeightFormat; rows: number },
  ): Promise<Float32Array> {
    const scope = new OpScope({ seed: 5, format });
    const [x, out] = [scope.input(256), scope.value(40)];
    scope.emit({ kind: 'matmul', out, x, weight: scope.matrix(40, 256) });
    const weights = scope.hostWeights;
    await using session = await open(backend, { program: scope.program(out), weights });
    const tokens = Array.from({ length: rows }, (_, index) => index % 7);
    return Float32Array.from(await session.run(batchOf([{ slot: 0, tokens }])));
  }

  test('no kernel of them was replaced', async () => {
    expect([...deviceContext(await device()).fallbacks.values()]).toEqual([]);
  });

  test('are made when they are asked for, for as many rows as was said', async () => {
    await using never = await createWebGpuBackend({ device: await device() });
    await using batches = await create('batches');
    await using always = await create('always');
    const format = 'q8_0';
    const rounds = async (backend: typeof never, rows: number) => {
      const [got, want] = [
        await product(backend, { format, rows }),
        await product(never, { format, rows }),
      ];
      const largest = Math.max(...want.map(Math.abs));
      const worst = Math.max(...want.map((value, n) => Math.abs(value - got[n]!))) / largest;
      expect(worst).toBeLessThan(2e-2);
      return worst > 1e-5;
    };
    expect(await rounds(batches, 3)).toBe(false);
    expect(await rounds(batches, 33)).toBe(true);
    expect(await rounds(always, 3)).toBe(true);
    expect(await rounds(always, 33)).toBe(true);
  });

  test('are given up, and that is told, where rows are rounded wrongly', async () => {
    const wrong = await (await gpu.requestAdapter())!.requestDevice();
    const module = wrong.createShaderModule.bind(wrong);
    wrong.createShaderModule = ({ code, ...rest }) =>
      module({ ...rest, code: code.replace('largest / 127.0', 'largest / 126.0') });
    await using backend = await createWebGpuBackend({ device: wrong, integerProducts: 'always' });
    await using never = await createWebGpuBackend({ device: await device() });
    const parts = { format: 'q8_0', rows: 3 } as const;
    const [got, want] = [await product(backend, parts), await product(never, parts)];
    for (const [n, value] of want.entries()) expect(got[n]).toBeCloseTo(value, 4);
    expect(backend.fallbacks.map(({ kernel }) => kernel)).toEqual(['quantise']);
    wrong.destroy();
  });

  test('other words are refused', async () => {
    const integerProducts = 'sometimes' as unknown as IntegerProducts;
    await expect(createWebGpuBackend({ gpu, integerProducts })).rejects.toThrow(TypeError);
  });
});
