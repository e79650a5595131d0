/** One model on the device: what a step asks of WebGPU, what JavaScript does in it, and how fast it is. */
import type { Backend, Batch, Executable, Program, States, WeightFormat } from '@rwkv-ts/backend';
import { createWebGpuBackend, type Fallback, type WebGpuTier } from '@rwkv-ts/backend-webgpu';
import { configOf, type ShapeName } from '@rwkv-ts/fixtures/shapes';
import { buildProgram } from '@rwkv-ts/model';
import { lower } from '@rwkv-ts/program';
import { decodeBatch, prefillBatch, type RowsKind } from '../common/batches.js';
import { randomWeights, storedSizes } from '../common/random-model.js';
import { collectGarbage, rateOf, timed } from '../common/timing.js';
import { type ModelCost, modelCost } from '../cpu/model-cost.js';
import { watchThisThread } from '../cpu/processor-use.js';
import type { AdapterFinder } from './gpu.js';
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
  readonly rows: RowsKind;
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
  readonly rows: RowsKind;
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
    const cost = modelCost(program, storedSizes(program, format));
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
      const batch = decodeBatch(loaded.program, { sequences, rows });
      const once = () => loaded.executable.run(batch);
      const rate = await rateOf(once, { tokens: sequences, seconds: options.seconds, queued: 1 });
      const four = { tokens: sequences, seconds: options.seconds, queued: 4 };
      const queuedRate = await rateOf(once, four);
      speeds.push({ test: `decode ${sequences}`, rows, tokens: sequences, rate, queuedRate });
    }
  }
  for (const tokens of options.prefill) {
    const batch = prefillBatch(loaded.program, tokens);
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
  { rows, seconds }: { rows: RowsKind; seconds: number },
): Promise<StepCost> {
  const { executable, watch, program } = loaded;
  const batch = decodeBatch(program, { sequences: 1, rows });
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
