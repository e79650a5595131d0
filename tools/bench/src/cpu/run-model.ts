/** The measurements of our own backends, in this process. */
import type { Backend, Batch, Executable, Rows, States } from '@rwkv-ts/backend';
import { loadModel } from '@rwkv-ts/generate';
import { buildProgram } from '@rwkv-ts/model';
import { lower } from '@rwkv-ts/program';
import { openModel } from '@rwkv-ts/weights';
import { fileSource } from '@rwkv-ts/weights/node';
import { createBackend } from './backends.js';
import type { DecodeJob, GenerateJob, JobResult, PrefillJob } from './jobs.js';
import { watchOthers, watchThisThread } from './processor-use.js';
import { canProfile } from './profile.js';

/** Before anything counts: pages are touched, threads are awake, and JavaScript is compiled, which takes many calls. */
const warmUpSteps = 3;
const warmUpSeconds = 0.3;
/** Of the measured seconds, spent once more with the backend's profile on, which costs a little. */
const profiledShare = 0.3;

interface Loaded extends AsyncDisposable {
  readonly backend: Backend;
  readonly executable: Executable;
  readonly states: States;
  readonly seconds: number;
  readonly vocabularySize: number;
}

async function load(job: DecodeJob | PrefillJob): Promise<Loaded> {
  const sequences = job.kind === 'decode' ? job.batch : 1;
  const tokens = job.kind === 'decode' ? job.batch : job.tokens;
  const began = performance.now();
  const backend = await createBackend(job);
  await using file = await openModel(await fileSource(job.file));
  const program = lower(buildProgram(file.config), backend.supports.ops);
  const source = file.weights({ claimed: backend.supports.weightFormats });
  const weights = await backend.upload(source, { program });
  const states = await backend.createStates(program.states, sequences);
  const limits = { tokens, sequences, wanted: sequences };
  const executable = await backend.compile(program, { weights, states }, limits);
  return {
    backend,
    executable,
    states,
    seconds: (performance.now() - began) / 1000,
    vocabularySize: program.output.width,
    [Symbol.asyncDispose]: () => backend[Symbol.asyncDispose](),
  };
}

/** Steps for at least so many seconds, one after the other; at least one. */
async function timed(
  seconds: number,
  step: () => Promise<unknown>,
): Promise<{ steps: number; seconds: number }> {
  const began = performance.now();
  for (let steps = 1; ; steps++) {
    await step();
    const passed = (performance.now() - began) / 1000;
    if (passed >= seconds) return { steps, seconds: passed };
  }
}

export async function runSteps(job: DecodeJob | PrefillJob): Promise<JobResult> {
  await using loaded = await load(job);
  const { backend, executable, states, vocabularySize } = loaded;
  const tokens =
    job.kind === 'decode' ? decodeBatch(job, vocabularySize) : prefillBatch(job, vocabularySize);
  const output = new Float32Array(
    new SharedArrayBuffer(tokens.wanted.length * vocabularySize * Float32Array.BYTES_PER_ELEMENT),
  );
  const batch = { ...tokens, output };
  const step = (): Promise<Rows> => {
    if (job.kind === 'prefill') states.reset(0);
    return executable.run(batch);
  };
  const { steps } = await timed(warmUpSeconds, step);
  for (let count = steps; count < warmUpSteps; count++) await step();
  const others = watchOthers();
  const javaScript = watchThisThread();
  const measured = await timed(job.seconds, step);
  const javaScriptMilliseconds = javaScript();
  const otherCores = others();
  const profiled = await profile(executable, () => timed(job.seconds * profiledShare, step));
  return {
    rate: (measured.steps * batch.tokens.length) / measured.seconds,
    steps: measured.steps,
    milliseconds: measured.seconds * 1000,
    javaScriptMilliseconds,
    loadSeconds: loaded.seconds,
    engine: backend.name,
    ...profiled,
    ...(otherCores === undefined ? {} : { otherCores }),
  };
}

async function profile(
  executable: Executable,
  run: () => Promise<{ seconds: number }>,
): Promise<Pick<JobResult, 'profile' | 'profiledMilliseconds'>> {
  if (!canProfile(executable)) return {};
  await executable.profile(true);
  const { seconds } = await run();
  return { profile: await executable.profile(false), profiledMilliseconds: seconds * 1000 };
}

/** A different token for every sequence, the same in every step. */
function decodeBatch({ batch }: DecodeJob, vocabularySize: number): Batch {
  const indices = Uint32Array.from({ length: batch }, (_, index) => index);
  return {
    tokens: indices.map((index) => spreadToken(index, vocabularySize)),
    starts: Uint32Array.from({ length: batch + 1 }, (_, index) => index),
    slots: indices,
    wanted: indices,
  };
}

function prefillBatch({ tokens }: PrefillJob, vocabularySize: number): Batch {
  return {
    tokens: Uint32Array.from({ length: tokens }, (_, index) => spreadToken(index, vocabularySize)),
    starts: Uint32Array.of(0, tokens),
    slots: Uint32Array.of(0),
    wanted: Uint32Array.of(tokens - 1),
  };
}

/** Tokens from all over the table, as a text's are. */
function spreadToken(index: number, vocabularySize: number): number {
  return ((index + 1) * 7919) % vocabularySize;
}

const chunkTokens = 16;

export async function runGenerate(job: GenerateJob): Promise<JobResult> {
  const began = performance.now();
  const backend = await createBackend(job);
  await using model = await loadModel(await fileSource(job.file), {
    backend,
    ownBackend: true,
    slots: job.batch,
  });
  const loadSeconds = (performance.now() - began) / 1000;
  const texts = Array.from({ length: job.batch }, (_, index) => index);
  const generate = (maxTokens: number) =>
    Promise.all(
      texts.map((text) =>
        model.generate([spreadToken(text, model.vocabularySize)], {
          temperature: 0,
          maxTokens,
          ignoreEndOfText: true,
        }),
      ),
    );
  // How many tokens fill the time is found out first; one call must make them all, as starting a text costs time too.
  const trial = await timed(0, () => generate(chunkTokens));
  const again = await timed(0, () => generate(chunkTokens));
  const perToken = Math.min(trial.seconds, again.seconds) / chunkTokens;
  const tokens = Math.max(chunkTokens, Math.ceil(job.seconds / perToken));
  const others = watchOthers();
  const measured = await timed(0, () => generate(tokens));
  const otherCores = others();
  return {
    rate: (tokens * job.batch) / measured.seconds,
    steps: tokens,
    loadSeconds,
    engine: backend.name,
    ...(otherCores === undefined ? {} : { otherCores }),
  };
}
