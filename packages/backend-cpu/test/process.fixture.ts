/** What a process of its own does with the backend; process.test.ts starts it and looks at how it ends. */
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { buildProgram } from '@rwkv-ts/model';
import { batchOf } from '../../backend-kit/conformance/batches.js';
import { createCpuBackend } from '../src/index.js';
import { loadNative } from '../src/load-native.js';
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

/** What a model is made of, and an executable of it. */
async function openParts() {
  const backend = createCpuBackend({ threads: 2 });
  const program = buildProgram(heavyConfig);
  const weights = await backend.upload(cheapWeights(heavyConfig));
  const states = await backend.createStates(program.states, 1);
  const bindings = { weights, states };
  const executable = await backend.compile(program, bindings, limits);
  return { backend, program, bindings, executable };
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

/** Never returns. */
function spin(): never {
  parentPort?.postMessage('ready');
  for (;;);
}

/** Workers that are terminated while they do the task, one after another. */
async function terminateOften(task: string): Promise<void> {
  for (let round = 0; round < 4; round++) {
    const worker = new Worker(fileURLToPath(import.meta.url), { workerData: task });
    await new Promise((resolve) => worker.once('message', resolve));
    await sleep(30 + 7 * round);
    await worker.terminate();
  }
  report('terminated', task);
  report('ending', Date.now());
}

/** What this process has ever had in memory at once, in bytes. */
const peak = () => process.resourceUsage().maxRSS * 1024;

/** Until the system gives no more; what is kept keeps it so. */
function takeAllMemory(): ArrayBuffer[] {
  const taken = [];
  for (let bytes = 2 ** 30; bytes >= 2 ** 25; bytes /= 2) {
    try {
      for (;;) taken.push(new ArrayBuffer(bytes));
    } catch {
      // Less, then.
    }
  }
  return taken;
}

async function reportFailure(what: string, act: () => unknown): Promise<void> {
  try {
    await act();
    report(what, 'done');
  } catch (error) {
    report(what, (error as { code?: string }).code ?? String(error));
  }
}

/** Words that encode the operation prepare7 that often, with nothing to work on. */
function manyOperations(count: number): Float64Array {
  const length = 39;
  const words = new Float64Array(1 + count * length);
  // Code, phase, and whether only wanted rows matter; heads and their size; the rest says that there is no such value.
  for (let index = 0; index < count; index++) words.set([18, 0, 0, 1, 1], 1 + index * length);
  return words;
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
  'during compile': () => terminateOften('compile'),
  'during profile': () => terminateOften('profile'),
  'during createStates': () => terminateOften('createStates'),
  'during allocateStates': () => terminateOften('allocateStates'),
  'during calls': () => terminateOften('calls'),
  memory: async () => {
    const addon = loadNative();
    const engine = addon.createEngine(addon.instructions()[0]!, 1, false, 0);
    const backend = createCpuBackend({ threads: 1 });
    const specs = [{ name: 'state', shape: [2 ** 26], initial: 0 }];
    const states = await backend.createStates(specs, 1);
    const [snapshot, vectors] = [new Uint8Array(2 ** 28), new Float32Array(2 ** 26)];
    const [own, weights] = [
      addon.createStates(Float64Array.of(1), vectors.subarray(0, 1), 1),
      addon.createWeights(),
    ];
    await addon.allocateStates(engine, own);
    const compile = (words: Float64Array) =>
      addon.compile(engine, weights, own, words, 0, 0, 1, 1, 1);
    const { program } = await compile(Float64Array.of(0));
    const batch = [[0], [0, 1], [0], [], []].map((numbers) => Uint32Array.from(numbers));
    const [tokens, starts, slots, wanted, at] = batch as [
      Uint32Array,
      Uint32Array,
      Uint32Array,
      Uint32Array,
      Uint32Array,
    ];
    const rows = new Float32Array(0);
    const run = (given: Float32Array) =>
      addon.run(engine, program, tokens, starts, slots, wanted, at, given, rows);
    const words = manyOperations(500_000);
    const taken = takeAllMemory();
    await reportFailure('createStates', () => backend.createStates(specs, 1));
    await reportFailure('write', () => {
      states.write(0, snapshot);
    });
    await reportFailure('read', () => states.read(0));
    await reportFailure('run', () => run(vectors));
    await reportFailure('compile', () => compile(words));
    // What failed took nothing along.
    await reportFailure('then', () => run(rows));
    taken.length = 0;
    await reportFailure('at last', () => states.read(0));
    report('ending', Date.now());
    process.exit(0);
  },
  temporary: async () => {
    const backend = createCpuBackend({ threads: 1 });
    const grown = async (what: string, act: () => Promise<unknown>) => {
      const before = peak();
      const start = performance.now();
      const done = act();
      report(`${what} call`, performance.now() - start);
      await done;
      report(`${what} time`, performance.now() - start);
      report(what, peak() - before);
    };
    const bytes = new Uint8Array(2 ** 25).fill(1);
    async function* vector() {
      yield { name: 'vector', shape: [2 ** 24], format: 'f16' as const, bytes };
    }
    await grown('vector', () => backend.upload(vector()));
    const specs = [{ name: 'state', shape: [2 ** 10, 2 ** 16], initial: 1 }];
    await grown('states', () => backend.createStates(specs, 1));
    report('ending', Date.now());
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
  // The second of two jobs is settled when the worker, still in the first one's wake, has been terminated.
  compile: async () => {
    const { backend, program, bindings, executable } = await openParts();
    const first = executable.profile(false);
    for (let job = 0; job < 3; job++) void backend.compile(program, bindings, limits);
    await first;
    spin();
  },
  profile: async () => {
    const { executable } = await openParts();
    const [first] = [1, 2, 3].map(() => executable.profile(false));
    await first;
    spin();
  },
  allocateStates: async () => {
    const { backend, program, executable } = await openParts();
    const first = executable.profile(false);
    for (let job = 0; job < 3; job++) void backend.createStates(program.states, 2);
    await first;
    spin();
  },
  createStates: async () => {
    const addon = loadNative();
    const [sizes, initial] = [Float64Array.of(2 ** 18), new Float32Array(2 ** 18)];
    parentPort?.postMessage('ready');
    for (;;) addon.createStates(sizes, initial, 1);
  },
  calls: async () => {
    const addon = loadNative();
    const engine = addon.createEngine(addon.instructions()[0]!, 1, false, 0);
    const [weights, bytes] = [addon.createWeights(), new Uint8Array(2 ** 12)];
    const states = addon.createStates(Float64Array.of(4), new Float32Array(4), 1);
    parentPort?.postMessage('ready');
    for (;;) {
      addon.createWeights();
      void addon.addWeight(engine, weights, 1, 1, 2 ** 11, true, 0, bytes).catch(() => undefined);
      void addon
        .compile(engine, weights, states, Float64Array.of(0), 0, 0, 1, 1, 1)
        .catch(() => undefined);
      void addon.drainEngine(engine);
      await sleep(0);
    }
  },
  once: async () => {
    const model = await openHeavy();
    await model.run(heavyBatch);
  },
};

await (isMainThread ? scenarios[process.argv[2] ?? '']?.() : tasks[workerData as string]?.());
