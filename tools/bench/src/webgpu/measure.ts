/** One model on the device: what a step asks of WebGPU, what JavaScript does in it, and how fast it is. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Backend, Batch, Executable, Program, States, WeightFormat } from '@rwkv-ts/backend';
import { createWebGpuBackend, type Fallback, type WebGpuTier } from '@rwkv-ts/backend-webgpu';
import { configOf, type ShapeName } from '@rwkv-ts/fixtures/shapes';
import { bytesForShape, formatInfo } from '@rwkv-ts/formats';
import { buildProgram } from '@rwkv-ts/model';
import { lower } from '@rwkv-ts/program';
import { type ModelCost, modelCost } from '../cpu/model-cost.js';
import { watchThisThread } from '../cpu/processor-use.js';
import type { AdapterFinder } from './gpu.js';
import { randomWeights } from './random-model.js';
import type { Calls, DeviceWatch } from './watch-device.js';

export interface Subject {
  readonly shape: ShapeName;
  readonly format: WeightFormat;
}

export interface MeasureOptions {
  readonly tier: WebGpuTier | 'auto';
  /** Sequences that decode together. */
  readonly batch: readonly number[];
  /** Lengths of prompts. */
  readonly prefill: readonly number[];
  /** Of each measurement, at least. */
  readonly seconds: number;
  /** How many of the likeliest tokens a step gives where it does not give all logits. */
  readonly candidates: number;
}

/** Of one sequence's next token. */
export interface StepCost {
  readonly rows: 'logits' | 'candidates';
  readonly calls: Calls;
  readonly dispatchesPerLayer: number;
  /** From calling `run` to its return, when everything is submitted. Of this and the next three one step in ten takes at most this. */
  readonly runMilliseconds: number;
  /** Of it, in `submit`. */
  readonly submitMilliseconds: number;
  /** `run` but `submit`, where the step is not like the last one, so that its commands are encoded within the call. */
  readonly encodingMilliseconds: number;
  /** From the mapping of the rows until the caller has them. */
  readonly rowsMilliseconds: number;
  /** Processor time of JavaScript's thread; in Node Dawn works, and asks whether it is done, on that thread. */
  readonly threadMilliseconds: number;
  readonly stepMilliseconds: number;
}

export interface Speed {
  readonly test: string;
  readonly rows: 'logits' | 'candidates';
  readonly tokens: number;
  /** Tokens a second over all sequences, each step awaited. */
  readonly rate: number;
  /** The same with four steps under way. */
  readonly queuedRate?: number;
}

export interface ModelResult extends Subject {
  readonly backend: string;
  readonly fallbacks: readonly Fallback[];
  readonly cost: ModelCost;
  readonly loadSeconds: number;
  /** Buffers that live with the model loaded, by the device and by the backend's own count. */
  readonly bufferBytes: number;
  readonly backendBytes: number;
  /** Of buffers after everything was disposed of. */
  readonly bytesLeft: number;
  readonly steps: readonly StepCost[];
  readonly speeds: readonly Speed[];
}

interface Loaded {
  readonly backend: Backend;
  readonly program: Program;
  readonly states: States;
  readonly executable: Executable;
  readonly watch: DeviceWatch;
  readonly seconds: number;
}

const layerCount = (program: Program): number =>
  program.states.filter(({ name }) => name.endsWith('att.wkv')).length;

export async function measureModel(
  { shape, format }: Subject,
  options: MeasureOptions & { readonly finder: AdapterFinder },
): Promise<ModelResult> {
  const { adapter, watch } = await options.finder.find();
  const { tier, batch, prefill, candidates } = options;
  const began = performance.now();
  const backend = await createWebGpuBackend({ adapter, tier });
  try {
    const program = lower(buildProgram(configOf('7', shape), { candidates }), backend.supports.ops);
    const weights = await backend.upload(randomWeights(program, format), { program });
    const sequences = Math.max(...batch);
    const states = await backend.createStates(program.states, sequences);
    const tokens = Math.max(sequences, ...prefill);
    const limits = { tokens, sequences, wanted: sequences };
    const executable = await backend.compile(program, { weights, states }, limits);
    const seconds = (performance.now() - began) / 1000;
    collectGarbage();
    const loaded = { backend, program, states, executable, watch: watch(), seconds };
    const measured = await measureLoaded(loaded, options);
    const { bufferBytes } = watch();
    const backendBytes = backend.bytes;
    const { fallbacks, name } = backend;
    await Promise.all([weights, states, executable].map((each) => each[Symbol.asyncDispose]()));
    const bytesLeft = watch().bufferBytes;
    const cost = modelCost(program, sizesOf(program, format));
    const about = { shape, format, backend: name, fallbacks, cost, loadSeconds: seconds };
    return { ...about, bufferBytes, backendBytes, bytesLeft, ...measured };
  } finally {
    await backend[Symbol.asyncDispose]();
  }
}

async function measureLoaded(
  loaded: Loaded,
  options: MeasureOptions,
): Promise<Pick<ModelResult, 'steps' | 'speeds'>> {
  const kinds = loaded.program.candidates
    ? (['logits', 'candidates'] as const)
    : (['logits'] as const);
  const steps: StepCost[] = [];
  const speeds: Speed[] = [];
  for (const rows of kinds) {
    steps.push(await measureStep(loaded, { rows, seconds: options.seconds }));
    for (const sequences of options.batch) {
      const batch = decodeBatch(loaded, { sequences, rows });
      const once = () => loaded.executable.run(batch);
      const rate = await rateOf(once, { tokens: sequences, seconds: options.seconds, queued: 1 });
      const four = { tokens: sequences, seconds: options.seconds, queued: 4 };
      const queuedRate = await rateOf(once, four);
      speeds.push({ test: `decode ${sequences}`, rows, tokens: sequences, rate, queuedRate });
    }
  }
  for (const tokens of options.prefill) {
    const batch = prefillBatch(loaded, tokens);
    const once = () => {
      loaded.states.reset(0);
      return loaded.executable.run(batch);
    };
    const rate = await rateOf(once, { tokens, seconds: options.seconds, queued: 1 });
    speeds.push({ test: `prefill ${tokens}`, rows: 'logits', tokens, rate });
  }
  return { steps, speeds };
}

async function measureStep(
  loaded: Loaded,
  { rows, seconds }: { rows: StepCost['rows']; seconds: number },
): Promise<StepCost> {
  const { executable, watch, program } = loaded;
  const batch = decodeBatch(loaded, { sequences: 1, rows });
  // JavaScript is compiled after many calls, and kernels are translated when they first run.
  await timed(() => executable.run(batch), { seconds: seconds / 2, queued: 1 });
  const calls = await watch.count(() => executable.run(batch));
  const steady = new StepTimes(loaded);
  const thread = watchThisThread();
  const measured = await timed(() => steady.run(batch), { seconds, queued: 1 });
  const threadMilliseconds = thread() / measured.steps;
  const changing = new StepTimes(loaded);
  const unseen = { ...batch, wanted: new Uint32Array(0) };
  const pair = async (): Promise<void> => {
    await executable.run(unseen);
    await changing.run(batch);
  };
  await timed(pair, { seconds, queued: 1 });
  return {
    rows,
    calls,
    dispatchesPerLayer: calls.dispatches / layerCount(program),
    runMilliseconds: lowTenth(steady.whole),
    submitMilliseconds: lowTenth(steady.submit),
    encodingMilliseconds: lowTenth(changing.whole.map((time, n) => time - changing.submit[n]!)),
    rowsMilliseconds: lowTenth(steady.rows),
    threadMilliseconds,
    stepMilliseconds: (1000 * measured.seconds) / measured.steps,
  };
}

/** What one in ten is at most: interruptions of the thread, by other programs or a processor's driver, are left out. */
function lowTenth(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 10)]!;
}

/** Milliseconds of steps, one after the other. */
class StepTimes {
  readonly whole: number[] = [];
  readonly submit: number[] = [];
  readonly rows: number[] = [];
  readonly #loaded: Loaded;

  constructor(loaded: Loaded) {
    this.#loaded = loaded;
  }

  async run(batch: Batch): Promise<void> {
    const { executable, watch } = this.#loaded;
    const submitted = watch.submitMilliseconds;
    const began = performance.now();
    const step = executable.run(batch);
    this.whole.push(performance.now() - began);
    this.submit.push(watch.submitMilliseconds - submitted);
    await step;
    this.rows.push(performance.now() - watch.mappedAt);
  }
}

async function rateOf(
  once: () => Promise<unknown>,
  { tokens, seconds, queued }: { tokens: number; seconds: number; queued: number },
): Promise<number> {
  await timed(once, { seconds: 0, queued });
  const measured = await timed(once, { seconds, queued });
  return (tokens * measured.steps) / measured.seconds;
}

/** What making a model left behind would be collected in the middle of the steps. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

/** Steps for at least so many seconds, `queued` of them under way at a time; at least one each. */
async function timed(
  once: () => Promise<unknown>,
  { seconds, queued }: { seconds: number; queued: number },
): Promise<{ steps: number; seconds: number }> {
  const began = performance.now();
  const passed = () => (performance.now() - began) / 1000;
  let steps = 0;
  const lane = async (): Promise<void> => {
    do {
      steps++;
      await once();
    } while (passed() < seconds);
  };
  await Promise.all(Array.from({ length: queued }, lane));
  return { steps, seconds: passed() };
}

/** Tokens from all over the table, as a text's are. */
const spreadToken = (index: number, { program }: Pick<Loaded, 'program'>): number =>
  ((index + 1) * 7919) % program.output.width;

function decodeBatch(
  loaded: Loaded,
  { sequences, rows }: { sequences: number; rows: StepCost['rows'] },
): Batch {
  const indices = Uint32Array.from({ length: sequences }, (_, index) => index);
  return {
    tokens: indices.map((index) => spreadToken(index, loaded)),
    starts: Uint32Array.from({ length: sequences + 1 }, (_, index) => index),
    slots: indices,
    wanted: indices,
    ...(rows === 'candidates' ? { candidates: true } : {}),
  };
}

function prefillBatch(loaded: Loaded, tokens: number): Batch {
  return {
    tokens: Uint32Array.from({ length: tokens }, (_, index) => spreadToken(index, loaded)),
    starts: Uint32Array.of(0, tokens),
    slots: Uint32Array.of(0),
    wanted: Uint32Array.of(tokens - 1),
  };
}

/** As the random weights are stored: matrices in the format, all else, and rows of no whole blocks, in f32. */
function sizesOf({ weights }: Program, format: WeightFormat) {
  return weights.map(({ name, shape }) => {
    const isMatrix = shape.length === 2 && (shape[1] ?? 0) % formatInfo(format).blockSize === 0;
    const stored = isMatrix ? format : 'f32';
    return { name, shape, format: stored, byteLength: bytesForShape(stored, shape) };
  });
}
