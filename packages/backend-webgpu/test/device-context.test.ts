/** Waiting for a device's queue, on one that does nothing by itself. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { deviceContext } from '../src/device/device-context.js';

function fakeDevice() {
  let lose!: (info: { message: string; reason: string }) => void;
  let finish!: () => void;
  let fail!: (cause: Error) => void;
  const lost = new Promise((resolve) => (lose = resolve));
  const onSubmittedWorkDone = () =>
    new Promise<void>((resolve, reject) => {
      finish = resolve;
      fail = reject;
    });
  const device = { lost, addEventListener: () => undefined, queue: { onSubmittedWorkDone } };
  const ends = {
    finish: () => {
      finish();
    },
    fail: () => {
      fail(new Error('the queue'));
    },
    lose: () => {
      lose({ message: 'unplugged', reason: 'unknown' });
    },
  };
  return { context: deviceContext(device as unknown as GPUDevice), ends };
}

test.each(['finish', 'fail', 'lose'] as const)('%s ends every wait for the queue', async (end) => {
  const { context, ends } = fakeDevice();
  let waiting = true;
  const wait = context.idle().then(() => (waiting = false));
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(waiting).toBe(true);
  ends[end]();
  await wait;
});

test('a lost device is not waited for', async () => {
  const { context, ends } = fakeDevice();
  const waits = [context.idle(), context.idle()];
  ends.lose();
  await Promise.all([...waits, context.idle()]);
  await context.idle();
  expect(() => {
    context.requireSound();
  }).toThrow('unplugged');
});

test('what was waited for is forgotten', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const lost = new Promise(() => undefined);
  const queue = { onSubmittedWorkDone: async () => undefined };
  const device = { lost, addEventListener: () => undefined, queue };
  const context = deviceContext(device as unknown as GPUDevice);
  const wait = async () => {
    for (let times = 0; times < 30_000; times++) await context.idle();
    collect();
    return process.memoryUsage().heapUsed;
  };
  const before = await wait();
  expect((await wait()) - before).toBeLessThan(2e6);
});
