/** Steps that are like the last one are encoded while that runs. */
import type { Batch } from '@rwkv-ts/backend';
import { describe, expect, test, vi } from 'vitest';
import { batchOf } from '../../backend-kit/conformance/batches.js';
import { open } from '../../backend-kit/conformance/session.js';
import { tinyModel } from '../../backend-kit/conformance/tiny-models.js';
import { createWebGpuBackend } from '../src/index.node.js';
import { adapter, missing, tierDevice } from './adapter.js';

// Software drivers translate a kernel when it first runs, which takes seconds on a busy machine.
vi.setConfig({ testTimeout: 120_000 });

const tiny = tinyModel('7');
const one = (token: number): Batch => batchOf([{ slot: 0, tokens: [token] }]);
const two = (token: number): Batch =>
  batchOf([
    { slot: 1, tokens: [token, 3] },
    { slot: 0, tokens: [token] },
  ]);
const unseen = (token: number): Batch => batchOf([{ slot: 0, tokens: [token] }], []);

describe.skipIf(!adapter)(`on ${adapter ? 'the adapter' : missing}`, () => {
  const device = tierDevice('plain');
  const create = async () => createWebGpuBackend({ device: await device() });

  test('the third of its kind encodes nothing within the call', async () => {
    await using backend = await create();
    await using session = await open(backend, tiny);
    const encoders = vi.spyOn(backend.device, 'createCommandEncoder');
    const encodedWithin: number[] = [];
    for (const batch of [one(1), one(2), one(3), one(4), two(5), two(6), two(7)]) {
      encoders.mockClear();
      const rows = session.run(batch);
      encodedWithin.push(encoders.mock.calls.length);
      await rows;
    }
    encoders.mockRestore();
    expect(encodedWithin).toEqual([1, 1, 0, 0, 1, 1, 0]);
  });

  test('awaited steps give the bits of queued ones, whatever shapes follow each other', async () => {
    await using backend = await create();
    const shapes = [one, one, one, two, one, unseen, unseen, unseen, one, two, two, two, two, one];
    const batches = shapes.map((shape, index) => shape((7 * index) % 61));
    await using queued = await open(backend, tiny);
    const expected = await Promise.all(batches.map((batch) => queued.run(batch)));
    await using awaited = await open(backend, tiny);
    for (const [index, batch] of batches.entries()) {
      expect(await awaited.run(batch)).toEqual(expected[index]);
    }
    expect(await awaited.states.read(0)).toEqual(await queued.states.read(0));
  });

  test('what is ready for a step that never comes is given back', async () => {
    await using backend = await create();
    await using session = await open(backend, tiny);
    const round = async () => {
      for (const batch of [one(1), one(2), one(3), two(4), two(5), two(6)]) {
        await session.run(batch);
      }
    };
    await round();
    const { bytes } = backend;
    for (let again = 0; again < 5; again++) await round();
    expect(backend.bytes).toBe(bytes);
    await session[Symbol.asyncDispose]();
    expect(backend.bytes).toBe(0);
  });
});
