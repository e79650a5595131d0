/** One model on the device: how fast it decodes and reads prompts, and what it holds. */
import type { Backend, Batch, HostWeight, Program, WeightFormat, Weights } from '@rwkv-ts/backend';
import { BackendError } from '@rwkv-ts/backend';
import type { CudaBackend } from '@rwkv-ts/backend-cuda';
import { configOf, type ShapeName } from '@rwkv-ts/fixtures/shapes';
import { buildProgram } from '@rwkv-ts/model';
import { lower } from '@rwkv-ts/program';
import { decodeBatch, prefillBatch, type RowsKind } from '../common/batches.js';
import { randomWeights, storedSizes } from '../common/random-model.js';
import { collectGarbage, rateOf, timed } from '../common/timing.js';
import { type ModelCost, modelCost } from '../cpu/model-cost.js';
import type { Sample } from '../cpu/statistics.js';
import type { Options } from './options.js';
import { type PeerRun, runPeer } from './peer.js';

export interface Subject {
  readonly shape: ShapeName;
  readonly format: WeightFormat;
}

export type MeasureOptions = Pick<
  Options,
  'batch' | 'prefill' | 'candidates' | 'logits' | 'rounds' | 'seconds' | 'peer'
>;

export interface Test {
  readonly kind: 'decode' | 'prefill';
  /** Sequences, each of a token, or tokens of one sequence. */
  readonly tokens: number;
  readonly rows: RowsKind;
}

export const nameOf = ({ kind, tokens }: Test): string => `${kind} ${tokens}`;

export interface TestResult extends Test {
  /** Tokens a second over all sequences, every step awaited. */
  readonly samples: readonly Sample[];
  /** Of the test's states and of its steps' memory. */
  readonly bytes: number;
  /** Why there are no samples. */
  readonly failure?: string;
}

export interface PeerResult {
  readonly engine?: string;
  /** By test. */
  readonly samples: Readonly<Record<string, readonly Sample[]>>;
  readonly failures: readonly string[];
}

export interface ModelResult extends Subject {
  readonly cost: ModelCost;
  /** Of uploading, without the time in which the random numbers were made. */
  readonly loadSeconds: number;
  /** What the weights hold of the device's memory and the host's, by the backend's account. */
  readonly weightBytes: number;
  /** Of the backend after everything was disposed of. */
  readonly bytesLeft: number;
  readonly tests: readonly TestResult[];
  readonly peer?: PeerResult;
}

interface Loaded {
  readonly backend: Backend;
  readonly program: Program;
  readonly weights: Weights;
}

export function testsOf({ batch, prefill, candidates, logits }: MeasureOptions): Test[] {
  const decode = (rows: RowsKind) => (tokens: number) =>
    ({ kind: 'decode', tokens, rows }) as const;
  if (candidates === 0) return [...batch.map(decode('logits')), ...prefill.map(prompt)];
  const whole = batch.filter((tokens) => logits.includes(tokens));
  return [
    ...batch.map(decode('candidates')),
    ...whole.map(decode('logits')),
    ...prefill.map(prompt),
  ];
}

const prompt = (tokens: number): Test => ({ kind: 'prefill', tokens, rows: 'logits' });

/** @throws BackendError `OUT_OF_MEMORY` where the weights do not fit */
export async function measureModel(
  { shape, format }: Subject,
  options: MeasureOptions & { readonly open: () => Promise<CudaBackend> },
): Promise<ModelResult> {
  const { candidates } = options;
  await using backend = await options.open();
  const given = buildProgram(configOf('7', shape), candidates > 0 ? { candidates } : {});
  const program = lower(given, backend.supports.ops);
  const making = { seconds: 0 };
  const began = performance.now();
  const source = timedSource(randomWeights(program, format), making);
  const weights = await backend.upload(source, { program });
  const loadSeconds = (performance.now() - began) / 1000 - making.seconds;
  const weightBytes = backend.bytes;
  collectGarbage();
  const results = await measureRounds({ backend, program, weights }, { shape, format }, options);
  await weights[Symbol.asyncDispose]();
  const bytesLeft = backend.bytes;
  const cost = modelCost(program, storedSizes(program, format));
  return { shape, format, cost, loadSeconds, weightBytes, bytesLeft, ...results };
}

/** Adds the time that the source takes. */
async function* timedSource(
  source: AsyncIterable<HostWeight>,
  spent: { seconds: number },
): AsyncGenerator<HostWeight> {
  let began = performance.now();
  for await (const weight of source) {
    spent.seconds += (performance.now() - began) / 1000;
    yield weight;
    began = performance.now();
  }
}

/** All tests and the peer in turn, every other round backwards. */
async function measureRounds(
  loaded: Loaded,
  subject: Subject,
  options: MeasureOptions,
): Promise<Pick<ModelResult, 'tests' | 'peer'>> {
  const tests = testsOf(options).map((test) => new RunningTest(test));
  const peer = new RunningPeer();
  for (let round = 0; round < options.rounds; round++) {
    const order = round % 2 === 0 ? tests : tests.toReversed();
    for (const test of order) await test.run(loaded, { round, ...options });
    if (options.peer.length > 0)
      peer.add(round, await runPeer(options.peer, { ...subject, ...options }));
  }
  const results = tests.map((test) => test.result);
  return { tests: results, ...(options.peer.length > 0 ? { peer: peer.result } : {}) };
}

class RunningTest {
  readonly #test: Test;
  readonly #samples: Sample[] = [];
  #bytes = 0;
  #failure: string | undefined;

  constructor(test: Test) {
    this.#test = test;
  }

  get result(): TestResult {
    const failure = this.#failure;
    const measured = { ...this.#test, samples: this.#samples, bytes: this.#bytes };
    return failure === undefined ? measured : { ...measured, failure };
  }

  /** What does not fit is not tried again. @throws unless it is the memory that is missing */
  async run(
    loaded: Loaded,
    { round, seconds, candidates }: MeasureOptions & { readonly round: number },
  ): Promise<void> {
    if (this.#failure !== undefined) return;
    try {
      const { rate, bytes } = await runTest(loaded, this.#test, { seconds, candidates });
      this.#samples.push({ round, value: rate });
      this.#bytes = bytes;
    } catch (error) {
      if (!BackendError.isInstance(error) || error.code !== 'OUT_OF_MEMORY') throw error;
      this.#failure = `${error.code}: ${error.message}`;
    }
  }
}

class RunningPeer {
  readonly #samples: Record<string, Sample[]> = {};
  readonly #failures = new Set<string>();
  #engine: string | undefined;

  get result(): PeerResult {
    const engine = this.#engine;
    const measured = { samples: this.#samples, failures: [...this.#failures] };
    return engine === undefined ? measured : { engine, ...measured };
  }

  add(round: number, { engine, rates, failure }: PeerRun): void {
    this.#engine ??= engine;
    if (failure !== undefined) this.#failures.add(failure);
    for (const [test, value] of rates) (this.#samples[test] ??= []).push({ round, value });
  }
}

/** With states and memory of its own, so that a test that does not fit leaves room for the others. */
async function runTest(
  { backend, program, weights }: Loaded,
  { kind, tokens, rows }: Test,
  { seconds, candidates }: { readonly seconds: number; readonly candidates: number },
): Promise<{ rate: number; bytes: number }> {
  const sequences = kind === 'decode' ? tokens : 1;
  const before = backend.bytes;
  await using states = await backend.createStates(program.states, sequences);
  const limits = { tokens, sequences, wanted: sequences };
  await using executable = await backend.compile(program, { weights, states }, limits);
  const bytes = backend.bytes - before;
  const width = rows === 'candidates' ? 2 * candidates + 1 : program.output.width;
  const output = new Float32Array(new SharedArrayBuffer(4 * sequences * width));
  const given =
    kind === 'decode' ? decodeBatch(program, { sequences, rows }) : prefillBatch(program, tokens);
  const batch: Batch = { ...given, output };
  const once = () => {
    if (kind === 'prefill') states.reset(0);
    return executable.run(batch);
  };
  // Clocks rise, and JavaScript is compiled.
  await timed(once, { seconds: seconds / 5 });
  return { rate: await rateOf(once, { tokens, seconds }), bytes };
}
