/**
 * node-llama-cpp, through its own interface, from a folder that it is installed in: the prebuilt binary that its users get,
 * without a GPU. It is no dependency of this repository, so its types are written here as far as they are used.
 */
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { JobResult, NodeLlamaCppJob } from './jobs.js';
import { watchOthers } from './processor-use.js';

interface Sequence {
  evaluate(tokens: number[], options: object): AsyncGenerator<number, void>;
  evaluateWithoutGeneratingNewTokens(tokens: number[]): Promise<void>;
  clearHistory(): Promise<void>;
}
interface Context {
  getSequence(): Sequence;
  readonly currentThreads: number;
}
interface LlamaModel {
  createContext(options: object): Promise<Context>;
}
interface Llama {
  loadModel(options: { modelPath: string }): Promise<LlamaModel>;
  readonly systemInfo: string;
  readonly llamaCppRelease: { readonly release: string };
}
interface NodeLlamaCpp {
  getLlama(options: object): Promise<Llama>;
}

const firstToken = 100;

export async function runNodeLlamaCpp(job: NodeLlamaCppJob): Promise<JobResult> {
  const installed = join(resolve(job.folder), 'node_modules/node-llama-cpp');
  const about = await readFile(join(installed, 'package.json'), 'utf8');
  const { version } = JSON.parse(about) as { version: string };
  const entry = join(installed, 'dist/index.js');
  const library = (await import(pathToFileURL(entry).href)) as NodeLlamaCpp;
  const began = performance.now();
  const llama = await library.getLlama({
    gpu: false,
    build: 'never',
    skipDownload: true,
    progressLogs: false,
    logLevel: 'error',
    maxThreads: job.threads,
  });
  const model = await llama.loadModel({ modelPath: resolve(job.file) });
  const context = await model.createContext({
    sequences: job.batch,
    contextSize: Math.max(1024, job.tokens),
    batchSize: 512,
    threads: { ideal: job.threads, min: job.threads },
  });
  const sequences = Array.from({ length: job.batch }, () => context.getSequence());
  const loadSeconds = (performance.now() - began) / 1000;
  const measured =
    job.task === 'prefill'
      ? await prefill(sequences[0]!, job.tokens)
      : await decode(sequences, job.tokens);
  return {
    ...measured,
    loadSeconds,
    engine: `node-llama-cpp ${version} (llama.cpp ${llama.llamaCppRelease.release}; ${llama.systemInfo.trim()}; ${context.currentThreads} threads)`,
  };
}

async function prefill(sequence: Sequence, length: number): Promise<JobResult> {
  const tokens = Array.from({ length }, (_, index) => ((index + 1) * 7919) % 65536);
  await sequence.evaluateWithoutGeneratingNewTokens(tokens);
  await sequence.clearHistory();
  const others = watchOthers();
  const began = performance.now();
  await sequence.evaluateWithoutGeneratingNewTokens(tokens);
  const seconds = (performance.now() - began) / 1000;
  return { rate: length / seconds, steps: 1, ...withOthers(others()) };
}

/** All sequences at the same time, greedy, from the first token made until the last. */
async function decode(sequences: readonly Sequence[], tokens: number): Promise<JobResult> {
  const warmUp = 4;
  await Promise.all(sequences.map((sequence) => take(sequence, warmUp)));
  const others = watchOthers();
  const spans = await Promise.all(sequences.map((sequence) => take(sequence, tokens)));
  const first = Math.min(...spans.map(({ begin }) => begin));
  const last = Math.max(...spans.map(({ end }) => end));
  const made = spans.reduce((sum, { count }) => sum + count, 0);
  return { rate: (made * 1000) / (last - first), steps: tokens, ...withOthers(others()) };
}

async function take(
  sequence: Sequence,
  tokens: number,
): Promise<{ begin: number; end: number; count: number }> {
  const options = { temperature: 0, yieldEogToken: true };
  const made = sequence.evaluate([firstToken], options);
  // The first one's time is that of the prompt.
  await made.next();
  const begin = performance.now();
  let count = 0;
  while (count < tokens && (await made.next()).done !== true) count++;
  const end = performance.now();
  await made.return();
  return { begin, end, count };
}

function withOthers(otherCores: number | undefined): Pick<JobResult, 'otherCores'> {
  return otherCores === undefined ? {} : { otherCores };
}
