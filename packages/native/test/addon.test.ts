/** The C++ of include/, as an addon that is built by the scripts and found by findAddon. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { beforeEach, describe, expect, test } from 'vitest';
import { platformName } from '../src/index.js';
import { loadTestAddon, packageFolder, type TestAddon, version } from './test-addon.js';

const loaded = loadTestAddon();
const addon = loaded as TestAddon;
const path = join(packageFolder, 'prebuilds', platformName(), 'rwkv_test.node');

describe.skipIf(loaded === undefined)('an addon', () => {
  let engine: object;
  beforeEach(() => {
    engine = addon.createEngine(50);
    return () => {
      addon.stopEngine(engine);
    };
  });

  test('has its version, and tells V8 of memory', () => {
    expect(addon.version).toBe(version);
    const before = addon.adjustMemory(0);
    expect(addon.adjustMemory(1 << 20) - before).toBe(1 << 20);
    expect(addon.adjustMemory(-(1 << 20))).toBe(before);
    for (const absurd of [1e16, -1e16, NaN]) expect(addon.adjustMemory(absurd)).toBe(before);
  });

  test('does jobs in the order of the calls, on arrays that it keeps', async () => {
    const arrays = Array.from({ length: 1000 }, (_, index) => Float64Array.of(index, 0.5));
    const results = await Promise.all(arrays.map((array) => addon.add(engine, array)));
    let sum = 0;
    for (const [index, result] of results.entries()) {
      sum += index + 0.5;
      expect(result).toBe(arrays[index]);
      expect(result[0]).toBe(sum);
    }
  });

  test('wakes up for a job after it has slept', async () => {
    for (const pause of [0, 30, 30]) {
      await new Promise((resolve) => setTimeout(resolve, pause));
      await addon.drainEngine(engine);
    }
    const sleeper = addon.createEngine(0);
    await addon.drainEngine(sleeper);
    addon.stopEngine(sleeper);
  });

  test('rejects with a code and a message that were made by the job', async () => {
    await addon.add(engine, Float64Array.of(41.5));
    await expect(addon.fail(engine, 'A_CODE')).rejects.toMatchObject({
      code: 'A_CODE',
      message: 'the count is 41.500000',
    });
    await addon.drainEngine(engine);
  });

  test.each(['bad_alloc', 'in result'])('rejects where memory ends: %s', async (when) => {
    await expect(addon.fail(engine, when)).rejects.toMatchObject({ code: 'OUT_OF_MEMORY' });
    await addon.drainEngine(engine);
  });

  test('throws where memory ends in a call', () => {
    expect(() => {
      addon.exhaust();
    }).toThrow(expect.objectContaining({ code: 'OUT_OF_MEMORY' }));
  });

  test('releases objects in the order of the calls', async () => {
    const box = addon.createBox();
    const busy = addon.wait(engine, 20);
    const released = addon.releaseBox(engine, box);
    expect(addon.isReleased(box)).toBe(false);
    await released;
    expect(addon.isReleased(box)).toBe(true);
    await busy;
  });

  test('tells its own objects from each other and from all else', () => {
    const box = addon.createBox();
    for (const wrong of [box, {}, undefined, 3, new Float64Array(1)]) {
      expect(() => addon.add(wrong as object, new Float64Array(1))).toThrow(TypeError);
    }
    expect(() => addon.isReleased(engine)).toThrow('expected a handle of this addon');
    const disguised = Object.setPrototypeOf(new Float32Array(2), Float64Array.prototype) as never;
    expect(() => addon.add(engine, disguised)).toThrow('bad numbers');
  });

  test('reads arguments, and takes what is of the wrong kind for nothing', () => {
    const read = (...values: unknown[]) => addon.arguments(...values);
    expect(read(-2.5, 7, 8, true, 'ä', 2 ** 53 - 1)).toEqual({
      numbers: Float64Array.of(-2.5, 7, 8),
      flag: true,
      text: 'ä',
      whole: 2 ** 53 - 1,
    });
    expect(read('3', -1, 2 ** 40, 1, 5, 0.5)).toEqual({
      numbers: Float64Array.of(0, 0, 2 ** 32 - 1),
      flag: false,
      text: '',
      whole: undefined,
    });
    expect(read()).toMatchObject({ numbers: new Float64Array(3), whole: undefined });
    expect(read(0, 0, 0, false, '', -1).whole).toBeUndefined();
    expect(read(0, 0, 0, false, '', 2 ** 54).whole).toBeUndefined();
  });

  test('refuses jobs once it is stopped', async () => {
    const before = addon.stoppedEngines();
    addon.stopEngine(engine);
    addon.stopEngine(engine);
    expect(addon.stoppedEngines()).toBe(before + 1);
    await expect(addon.drainEngine(engine)).rejects.toMatchObject({ code: 'STOPPED' });
  });

  test('stops without waiting for the jobs', () => {
    const start = performance.now();
    for (let job = 0; job < 10; job++) void addon.wait(engine, 60_000);
    addon.stopEngine(engine);
    expect(performance.now() - start).toBeLessThan(10_000);
  });

  test('ends with its worker, in the middle of a job', async () => {
    const before = addon.stoppedEngines();
    const source = `
      const addon = require(${JSON.stringify(path)});
      const engine = addon.createEngine(0);
      for (let job = 0; job < 10; job++) addon.wait(engine, 60000);
      require('node:worker_threads').parentPort.postMessage('ready');
    `;
    const start = performance.now();
    const worker = new Worker(source, { eval: true });
    await new Promise((resolve) => worker.once('message', resolve));
    await worker.terminate();
    expect(addon.stoppedEngines()).toBe(before + 1);
    expect(performance.now() - start).toBeLessThan(20_000);
  });

  test.each([
    {
      what: 'lives until its jobs are done',
      source: "addon.wait(engine, 200).then(() => console.log('done'))",
      output: 'done\n',
    },
    { what: 'is not kept by an idle engine', source: '0', output: '' },
    {
      what: 'ends at once by exit',
      source: 'addon.wait(engine, 60000); setTimeout(() => process.exit(), 20)',
      output: '',
    },
  ])('a process $what', ({ source, output }) => {
    const program = `const addon = require(${JSON.stringify(path)}); const engine = addon.createEngine(0); ${source};`;
    const ended = spawnSync(process.execPath, ['-e', program], {
      encoding: 'utf8',
      timeout: 30_000,
    });
    expect({ status: ended.status, output: ended.stdout }, ended.stderr).toEqual({
      status: 0,
      output,
    });
  });
});
