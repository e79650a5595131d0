/** Decodes a long context token by token, and measures what a token costs as the context grows. */
import { createCpuBackend } from '@rwkv-ts/backend-cpu';
import { demoModel } from '@rwkv-ts/demo-model';
import { buildProgram, type RwkvConfig } from '@rwkv-ts/model';
import { openModel } from '@rwkv-ts/weights';
import { fileSource } from '@rwkv-ts/weights/node';
import { createRandom, type Random } from '../regular/random-strings.js';

export interface MeasureOptions {
  /** Length of the context at the end. */
  readonly tokens: number;
  readonly threads: number;
  readonly seed: number;
  readonly onSample?: (sample: Sample) => void;
}

/** The tokens since the last sample, at most `window` of them, and the memory after them. */
export interface Sample {
  /** Context length. */
  readonly tokens: number;
  /** The median. */
  readonly microseconds: number;
  /** What a tenth of the tokens stayed below: steps that other programs left alone. */
  readonly fastMicroseconds: number;
  /** Of the process. */
  readonly residentBytes: number;
  /** Of JavaScript's objects and buffers. */
  readonly heapBytes: number;
  /** Of weights, state and everything else that the backend holds. */
  readonly backendBytes: number;
}

export interface Measurement {
  readonly backend: string;
  readonly config: RwkvConfig;
  /** Of the one sequence. */
  readonly stateBytes: number;
  readonly samples: readonly Sample[];
}

/** Tokens that a sample looks back on. */
const window = 1000;

/** 1k, 2k, 5k, 10k, … and the last token. */
function sampleAt(tokens: number): readonly number[] {
  const marks: number[] = [];
  for (let power = 1000; power <= tokens; power *= 10) marks.push(power, 2 * power, 5 * power);
  return [...marks.filter((mark) => mark < tokens), tokens];
}

/**
 * The demonstration model writes text: each token is drawn from the distribution that the model gave.
 * @throws BackendError `DEVICE_UNAVAILABLE` where the CPU backend is not built
 */
export async function measureDecoding({
  tokens,
  threads,
  seed,
  onSample,
}: MeasureOptions): Promise<Measurement> {
  await using backend = createCpuBackend({ threads });
  await using source = await fileSource(demoModel.url);
  await using file = await openModel(source);
  const program = buildProgram(file.config);
  const claimed = { claimed: backend.supports.weightFormats };
  await using weights = await backend.upload(file.weights(claimed), { program });
  await using states = await backend.createStates(program.states, 1);
  const limits = { tokens: 1, sequences: 1, wanted: 1 };
  await using executable = await backend.compile(program, { weights, states }, limits);
  const token = Uint32Array.of('\n'.charCodeAt(0));
  const batch = {
    tokens: token,
    starts: Uint32Array.of(0, 1),
    slots: Uint32Array.of(0),
    wanted: Uint32Array.of(0),
    output: new Float32Array(new SharedArrayBuffer(4 * file.config.vocabularySize)),
  };
  const random = createRandom(seed);
  const times = new Float64Array(window);
  const samples: Sample[] = [];
  let at = 0;
  for (const mark of sampleAt(tokens)) {
    const first = Math.max(at, mark - window);
    for (; at < first; at++) token[0] = draw(await executable.run(batch), random);
    for (; at < mark; at++) {
      const started = performance.now();
      const logits = await executable.run(batch);
      times[at - first] = performance.now() - started;
      token[0] = draw(logits, random);
    }
    const { rss, heapUsed, external } = process.memoryUsage();
    const sorted = times.slice(0, mark - first).sort();
    const sample: Sample = {
      tokens: mark,
      microseconds: 1000 * sorted[Math.floor(sorted.length / 2)]!,
      fastMicroseconds: 1000 * sorted[Math.floor(sorted.length / 10)]!,
      residentBytes: rss,
      heapBytes: heapUsed + external,
      backendBytes: backend.bytes,
    };
    samples.push(sample);
    onSample?.(sample);
  }
  const stateBytes = (await states.read(0)).length;
  return { backend: backend.name, config: file.config, stateBytes, samples };
}

/** A token with the probability that softmax gives it. */
function draw(logits: Float32Array | Float64Array, random: Random): number {
  let largest = -Infinity;
  for (const logit of logits) largest = Math.max(largest, logit);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - largest);
  let left = random() * sum;
  for (const [token, logit] of logits.entries()) {
    left -= Math.exp(logit - largest);
    if (left < 0) return token;
  }
  // Rounding may leave a little.
  return logits.indexOf(largest);
}
