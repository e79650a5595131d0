import { BackendError } from '@rwkv-ts/backend';
import { expect, test } from 'vitest';
import { Holding, Memory, nativeError } from './memory.js';

/** Memory of 100 bytes, and what V8 was told of it. */
function memoryOf100(): { memory: Memory; told: () => number } {
  let told = 0;
  const adjustMemory = (change: number) => (told += change);
  return { memory: new Memory({ adjustMemory }, 100), told: () => told };
}

const outOfMemory: unknown = expect.objectContaining({ code: 'OUT_OF_MEMORY' });

test('what is held counts, V8 hears of it when it is there, and all of it is given back', async () => {
  const { memory, told } = memoryOf100();
  const holding = new Holding(memory);
  let during = -1;
  const result = await holding.allocate({ bytes: 60, what: 'It' }, () => {
    during = told();
    return 'made';
  });
  expect([result, during, told(), holding.bytes, memory.used]).toEqual(['made', 0, 60, 60, 60]);
  await holding.allocate({ bytes: 40, what: 'More' }, () => undefined);
  expect([told(), memory.available]).toEqual([100, 0]);
  holding.release();
  holding.release();
  expect([told(), memory.used, holding.bytes]).toEqual([0, 0, 0]);
});

test('more than the limit is refused before it is asked for', async () => {
  const { memory } = memoryOf100();
  const holding = new Holding(memory);
  await holding.allocate({ bytes: 60, what: 'It' }, () => undefined);
  let asked = false;
  const more = holding.allocate({ bytes: 41, what: 'More' }, () => {
    asked = true;
  });
  await expect(more).rejects.toMatchObject({ code: 'OUT_OF_MEMORY', expected: 40, got: 41 });
  expect([asked, memory.used]).toEqual([false, 60]);
});

test('what fails is not counted', async () => {
  const { memory, told } = memoryOf100();
  const holding = new Holding(memory);
  const failing = (cause: unknown) =>
    holding.allocate({ bytes: 10, what: 'It' }, () => Promise.reject(cause as Error));
  const own = new TypeError('a mistake');
  await expect(failing(own)).rejects.toBe(own);
  const system = Object.assign(new Error('no memory'), { code: 'OUT_OF_MEMORY' });
  await expect(failing(system)).rejects.toEqual(outOfMemory);
  expect([memory.used, told(), holding.bytes]).toEqual([0, 0, 0]);
});

test('an array of JavaScript counts for the limit, and V8 is not told', () => {
  const { memory, told } = memoryOf100();
  const holding = new Holding(memory);
  expect(holding.keepArray(70)).toBe(true);
  expect(holding.keepArray(31)).toBe(false);
  expect([memory.used, told(), holding.bytes]).toEqual([70, 0, 70]);
  holding.release();
  expect([memory.used, told()]).toEqual([0, 0]);
});

test('errors for memory become ours, and others stay what they are', () => {
  const context = { what: 'A step', got: 7 };
  const native = Object.assign(new Error('none'), { code: 'OUT_OF_MEMORY' });
  for (const cause of [native, new RangeError('Array buffer allocation failed')]) {
    const error = nativeError(cause, context);
    expect(error).toBeInstanceOf(BackendError);
    expect(error).toMatchObject({ code: 'OUT_OF_MEMORY', got: 7, cause });
    expect((error as Error).message).toContain('A step');
  }
  const lost = Object.assign(new Error('gone'), { code: 'DEVICE_LOST' });
  const ours = nativeError(native, context);
  for (const cause of [lost, ours, undefined, 'text'])
    expect(nativeError(cause, context)).toBe(cause);
});
