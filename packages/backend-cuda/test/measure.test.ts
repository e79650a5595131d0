/** What `CudaBackend.measure` says of an emulated device, and what it leaves behind. */
import { BackendError } from '@rwkv-ts/backend';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createEmulated, emulation } from './emulated.js';

vi.setConfig({ testTimeout: 120_000 });

const small = { copyBytes: 4096, seconds: 0 };

afterEach(() => {
  for (const name of ['FAIL', 'MEMORY'])
    Reflect.deleteProperty(process.env, `RWKV_EMULATED_${name}`);
});

describe.skipIf(emulation.missing)(`emulated device ${emulation.missing ?? ''}`, () => {
  test('both rates are positive numbers, and nothing is held afterwards', async () => {
    await using backend = await createEmulated();
    const before = await backend.freeBytes();
    expect(before).toBe(2 ** 33);
    const rates = await backend.measure(small);
    for (const rate of [rates.copyBytesPerSecond, rates.matrixFlopsPerSecond]) {
      expect(Number.isFinite(rate)).toBe(true);
      expect(rate).toBeGreaterThan(0);
    }
    expect(backend.bytes).toBe(0);
    expect(await backend.freeBytes()).toBe(before);
  });

  test('a device without room for two buffers refuses, and holds nothing', async () => {
    process.env['RWKV_EMULATED_MEMORY'] = '6000';
    await using backend = await createEmulated();
    const error: unknown = await backend.measure(small).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'OUT_OF_MEMORY' });
    expect(backend.bytes).toBe(0);
    expect(await backend.freeBytes()).toBe(6000);
  });

  test('a device that is lost meanwhile is a typed error', async () => {
    await using backend = await createEmulated();
    process.env['RWKV_EMULATED_FAIL'] = 'cuLaunchKernel:719';
    const error: unknown = await backend.measure(small).catch((thrown: unknown) => thrown);
    expect(BackendError.isInstance(error)).toBe(true);
    expect(error).toMatchObject({ code: 'DEVICE_LOST' });
    expect(backend.bytes).toBe(0);
  });

  test('options out of range are mistakes of the program', async () => {
    await using backend = await createEmulated();
    for (const options of [{ copyBytes: 0 }, { copyBytes: 4.5 }, { seconds: -1 }, { seconds: NaN }])
      await expect(backend.measure(options)).rejects.toThrow(TypeError);
  });
});
