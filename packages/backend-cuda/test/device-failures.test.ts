/** Several devices of which one fails, and what is left on all of them when a backend goes. */
import { BackendError } from '@rwkv-ts/backend';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { handOver } from '../../backend-kit/conformance/session.js';
import { createEmulated, emulation } from './emulated.js';
import {
  emulate,
  emulateNothing,
  open,
  program,
  rejection,
  single,
  weights,
} from './split-model.js';

vi.setConfig({ testTimeout: 120_000 });
afterEach(emulateNothing);

describe.skipIf(emulation.missing)(`emulated devices ${emulation.missing ?? ''}`, () => {
  test.each([0, 1])('device %s is lost, and with it the backend', async (device) => {
    const backend = await createEmulated({ devices: [0, 1] });
    const { executable, states } = await open(backend);
    const whole = 2 * 2 ** 33;
    await executable.run(single([1, 2, 3]));
    emulate({ FAIL: `execution@${device}:719` });
    const error = await rejection(executable.run(single([4])));
    expect(error).toMatchObject({ code: 'DEVICE_LOST' });
    expect(error.message).toContain(`cuda:${device} emulated device is lost`);
    // The other one still works, and is of no use.
    const lost = { code: 'DEVICE_LOST', message: error.message };
    expect(await rejection(executable.run(single([4])))).toMatchObject(lost);
    expect(await rejection(states.read(0))).toMatchObject({ code: 'DEVICE_LOST' });
    const uploading = backend.upload(handOver(weights()), { program });
    expect(await rejection(uploading)).toMatchObject({ code: 'DEVICE_LOST' });
    expect(await rejection(backend.createStates(program.states, 1))).toMatchObject({
      code: 'DEVICE_LOST',
    });
    emulate({ FAIL: '' });
    await backend[Symbol.asyncDispose]();
    expect(backend.bytes).toBe(0);
    await using next = await createEmulated({ devices: [0, 1] });
    expect(await next.freeBytes()).toBe(whole);
  });

  test('a step that one device could not prepare is tried anew', async () => {
    await using backend = await createEmulated({ devices: [0, 1] });
    const { executable } = await open(backend);
    for (const [device, tokens] of [
      [0, [1, 2]],
      [1, [1, 2, 3]],
    ] as const) {
      emulate({ FAIL: `cuGraphInstantiateWithFlags@${device}:2` });
      expect(await rejection(executable.run(single(tokens)))).toMatchObject({
        code: 'OUT_OF_MEMORY',
      });
      emulate({ FAIL: '' });
      const rows = await executable.run(single(tokens));
      expect(rows.every(Number.isFinite)).toBe(true);
    }
  });

  test('a failure at any call of any device leaves nothing, and nothing waits for ever', async () => {
    const calls = [
      'cuMemAlloc_v2:2:5',
      'cuMemHostAlloc:2:3',
      'cuMemHostAlloc:2:4',
      'cuEventCreate:2:2',
      'cuEventRecord:1:9',
      'cuEventSynchronize:1',
      'cuMemcpyDtoHAsync_v2:1',
      'cuMemcpyHtoDAsync_v2:1:4',
      'cuStreamSynchronize:1:1',
      'cuLaunchKernel:1:8',
      'cuGraphLaunch:1',
      'cuMemcpyDtoDAsync_v2:719:2',
    ];
    for (const device of [0, 1]) {
      for (const call of calls) {
        const backend = await createEmulated({ devices: [0, 1] });
        emulate({ FAIL: call.replace(':', `@${device}:`) });
        try {
          const { executable } = await open(backend);
          for (let step = 0; step < 3; step++) await executable.run(single([1, 2]));
        } catch (error) {
          expect(BackendError.isInstance(error), `${call} on ${device}: ${String(error)}`).toBe(
            true,
          );
        }
        await backend[Symbol.asyncDispose]();
        emulate({ FAIL: '' });
        expect(backend.bytes, call).toBe(0);
      }
    }
    await using next = await createEmulated({ devices: [0, 1] });
    expect(await next.freeBytes()).toBe(2 * 2 ** 33);
  });

  test('models come and go, and leave nothing on either device', async () => {
    await using backend = await createEmulated({ devices: [0, 1] });
    for (let cycle = 0; cycle < 5; cycle++) {
      const handles = await open(backend);
      const running = [1, 2, 3].map((token) => handles.executable.run(single([token])));
      // What is queued is done before its handles go.
      const disposals = [handles.executable, handles.states, handles.weights].map((handle) =>
        handle[Symbol.asyncDispose](),
      );
      await Promise.all([...running, ...disposals]);
      expect(backend.bytes).toBe(0);
      expect(await backend.freeBytes()).toBe(2 * 2 ** 33);
    }
  });

  test('a backend that is disposed of with steps queued', async () => {
    const backend = await createEmulated({ devices: [0, 1] });
    const { executable } = await open(backend);
    const running = [1, 2, 3, 4].map((token) => executable.run(single([token])));
    await backend[Symbol.asyncDispose]();
    for (const outcome of await Promise.allSettled(running))
      expect(outcome.status).toBe('fulfilled');
    expect(backend.bytes).toBe(0);
  });
});
