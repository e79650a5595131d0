/** What a process of its own does with the backend; process.test.ts starts it and looks at how it ends. */
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { batchOf } from '../../backend-kit/conformance/batches.js';
import { createCpuBackend } from '../src/index.js';
import { cheapWeights, heavyConfig, openSubject, type Opened, tokensOf } from './subjects.js';

const prefill = (count: number) =>
  batchOf(
    [{ slot: 0, tokens: tokensOf(count, { seed: 1, below: heavyConfig.vocabularySize }) }],
    'last',
  );
const heavyBatch = prefill(256);
/** A step of a second or so. */
const longBatch = prefill(4096);
const limits = { tokens: 4096, sequences: 1, wanted: 1 };

async function openHeavy(): Promise<Opened> {
  const backend = createCpuBackend({ threads: 2 });
  const options = { limits, slots: 1, weights: cheapWeights(heavyConfig) };
  return openSubject(backend, { config: heavyConfig }, options);
}

/** Queues far more than can be done in the time of a test. */
async function startManySteps(): Promise<void> {
  const model = await openHeavy();
  const start = performance.now();
  await model.run(heavyBatch);
  report('step', performance.now() - start);
  for (let step = 0; step < 2000; step++) void model.run(heavyBatch).catch(() => undefined);
  await sleep(20);
}

/** 0 where the system does not tell. */
function threadsNow(): number {
  return existsSync('/proc/self/task') ? readdirSync('/proc/self/task').length : 0;
}

const sleep = (milliseconds: number) =>
  new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });

function report(what: string, value: number | string): void {
  console.log(`${what} ${value}`);
}

/** Leaves a queue behind, and nothing that refers to the backend. */
async function resetOften(): Promise<void> {
  const { states } = await openHeavy();
  for (let change = 0; change < 5000; change++) states.reset(0);
}

/** By the name given as the first argument. */
const scenarios: Record<string, () => Promise<void>> = {
  exit: async () => {
    await startManySteps();
    report('ending', Date.now());
    process.exit(7);
  },
  long: async () => {
    const worker = new Worker(fileURLToPath(import.meta.url), { workerData: 'long' });
    const whole = await new Promise<number>((resolve) => worker.once('message', resolve));
    report('step', whole);
    await sleep(whole / 20);
    const start = performance.now();
    await worker.terminate();
    report('terminated', performance.now() - start);
    report('ending', Date.now());
  },
  uncaught: async () => {
    await startManySteps();
    report('ending', Date.now());
    setImmediate(() => {
      throw new Error('nobody catches this');
    });
  },
  natural: async () => {
    const model = await openHeavy();
    await model.run(heavyBatch);
    report('ending', Date.now());
  },
  queued: async () => {
    const model = await openHeavy();
    let done = 0;
    for (let step = 0; step < 3; step++) {
      void model.run(heavyBatch).then(() => {
        if (++done === 3) report('ending', Date.now());
      });
    }
  },
  unused: async () => {
    createCpuBackend({ threads: 4 });
    report('ending', Date.now());
  },
  forgotten: async () => {
    await resetOften();
    const collect = (globalThis as { gc?: () => void }).gc;
    collect?.();
    await sleep(1);
    collect?.();
    report('ending', Date.now());
    process.exit(0);
  },
  idle: async () => {
    const model = await openHeavy();
    await model.run(heavyBatch);
    await sleep(50);
    const before = process.cpuUsage();
    await sleep(300);
    const { user, system } = process.cpuUsage(before);
    report('microseconds', user + system);
    report('ending', Date.now());
  },
  threads: async () => {
    try {
      createCpuBackend({ threads: 256 });
      report('created', 256);
    } catch (error) {
      report('refused', (error as Error).message);
    }
    // A small team still runs.
    await using backend = createCpuBackend({ threads: 2 });
    report('then', backend.threads);
    report('ending', Date.now());
  },
  worker: async () => {
    const model = await openHeavy();
    await model.run(heavyBatch);
    const threads = threadsNow();
    for (let round = 0; round < 4; round++) {
      const worker = new Worker(fileURLToPath(import.meta.url), { workerData: 'busy' });
      await new Promise((resolve) => worker.once('message', resolve));
      await sleep(5 * round);
      const start = performance.now();
      await worker.terminate();
      report('terminated', performance.now() - start);
      await model.run(heavyBatch);
    }
    await sleep(50);
    report('threads left', threadsNow() - threads);
    const worker = new Worker(fileURLToPath(import.meta.url), { workerData: 'once' });
    report('worker ended', await new Promise<number>((resolve) => worker.once('exit', resolve)));
    report('ending', Date.now());
  },
};

/** What the workers of the scenario `worker` do. */
const tasks: Record<string, () => Promise<void>> = {
  busy: async () => {
    const model = await openHeavy();
    parentPort?.postMessage('ready');
    for (;;) await Promise.all([1, 2, 3].map(() => model.run(heavyBatch)));
  },
  long: async () => {
    const model = await openHeavy();
    const start = performance.now();
    await model.run(longBatch);
    const running = model.run(longBatch);
    parentPort?.postMessage(performance.now() - start);
    await running;
  },
  once: async () => {
    const model = await openHeavy();
    await model.run(heavyBatch);
  },
};

await (isMainThread ? scenarios[process.argv[2] ?? '']?.() : tasks[workerData as string]?.());
