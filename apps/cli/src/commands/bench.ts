/** `rwkv bench`: how fast a model runs here. */
import { cpus } from 'node:os';
import { setImmediate } from 'node:timers/promises';
import type { Batch } from '@rwkv-ts/backend';
import type { LanguageModel } from '@rwkv-ts/generate';
import type { Command } from 'commander';
import {
  addModelOptions,
  type ModelOptions,
  type OpenedModel,
  openModelFor,
} from '../model-options.js';
import { integer, sizeList } from '../option-values.js';
import { table } from '../table.js';
import type { Terminal } from '../terminal.js';

interface BenchOptions extends ModelOptions {
  readonly prefill: readonly number[];
  readonly batch: readonly number[];
  readonly steps: number;
  readonly repeat: number;
  readonly json?: true;
}

interface Measurement {
  readonly test: string;
  readonly tokens: number;
  /** Of every repetition, in tokens per second. */
  readonly rates: readonly number[];
  readonly median: number;
  /** Of decoding: how fast weights are read, each counted once a step and the embedding's rows alone. */
  readonly gigabytesPerSecond?: number;
}

export function addBench(program: Command, terminal: Terminal): void {
  const command = program
    .command('bench')
    .summary('how fast a model runs here')
    .description(
      'Measures prefill and decode in tokens per second, and for decode how many GB of weights are read a second: medians of several interleaved repetitions.',
    );
  addModelOptions(command)
    .option('--prefill <lengths>', 'prompt lengths, as 32,512', sizeList, [32, 256])
    .option('--batch <sizes>', 'sequences that decode together, as 1,4', sizeList, [1, 4])
    .option('--steps <n>', 'decode steps per repetition', integer({ minimum: 1 }), 32)
    .option('--repeat <n>', 'repetitions of everything', integer({ minimum: 1 }), 5)
    .option('--json', 'every repetition, and what ran where')
    .addHelpText(
      'after',
      `
Examples:
  rwkv bench --model model.gguf --prefill 512 --batch 1,8
  rwkv bench --model model.gguf --threads 4 --instructions avx2`,
    )
    .action(async (options: BenchOptions) => {
      await bench(options, terminal);
    });
}

async function bench(options: BenchOptions, terminal: Terminal): Promise<void> {
  const began = performance.now();
  const largest = Math.max(...options.batch, 1);
  await using opened = await openModelFor(options, terminal, {
    slots: 1,
    limits: { tokens: Math.max(...options.prefill, largest), sequences: largest, wanted: largest },
  });
  const loadSeconds = (performance.now() - began) / 1000;
  const { languageModel } = opened.model;
  const tests = [
    ...options.prefill.map((length) => ({
      name: `prefill ${length}`,
      tokens: length,
      sequences: undefined,
      run: () => prefill(languageModel, { length, signal: terminal.signal }),
    })),
    ...options.batch.map((size) => ({
      name: `decode, batch ${size}`,
      tokens: size * options.steps,
      sequences: size,
      run: () => decode(languageModel, { size, steps: options.steps, signal: terminal.signal }),
    })),
  ];
  const rates = tests.map((): number[] => []);
  using progress = terminal.progress('Measuring');
  let done = 0;
  // Interleaved, so that a slow spell of the machine falls on every test alike; the first round warms up.
  for (let round = 0; round <= options.repeat; round++) {
    for (const [index, test] of tests.entries()) {
      terminal.signal.throwIfAborted();
      const seconds = await test.run();
      if (round > 0) rates[index]!.push(test.tokens / seconds);
      progress.update(++done, tests.length * (options.repeat + 1));
    }
  }
  progress[Symbol.dispose]();
  const results: Measurement[] = tests.map(({ name, tokens, sequences }, index) => {
    const middle = median(rates[index]!);
    const result = { test: name, tokens, rates: rates[index]!, median: middle };
    if (sequences === undefined) return result;
    const stepBytes = bytesPerStep(opened, sequences);
    return { ...result, gigabytesPerSecond: ((middle / sequences) * stepBytes) / 1e9 };
  });
  const machine = {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    node: process.version,
  };
  if (options.json) {
    await terminal.json({
      model: opened.name,
      backend: opened.backend.name,
      machine,
      loadSeconds,
      weightBytes: [...opened.weightBytes.values()].reduce((sum, bytes) => sum + bytes, 0),
      results,
    });
    return;
  }
  await terminal.line(
    `${opened.name} on ${opened.backend.name}; ${machine.cpu}, Node ${machine.node}`,
  );
  const rows = results.map(({ test, rates: all, median: middle, gigabytesPerSecond }) => [
    test,
    middle.toFixed(1),
    Math.min(...all).toFixed(1),
    Math.max(...all).toFixed(1),
    gigabytesPerSecond?.toFixed(gigabytesPerSecond < 1 ? 3 : 1) ?? '',
  ]);
  await terminal.line(table(['test', 'tokens/s', 'lowest', 'highest', 'GB/s'], rows));
}

/** What a step must read: every weight once, as large as it came, but of embeddings a row for each token. */
function bytesPerStep(
  { model, weightBytes }: Pick<OpenedModel, 'model' | 'weightBytes'>,
  tokens: number,
): number {
  let total = 0;
  for (const [name, bytes] of weightBytes)
    total += name.endsWith('emb.weight') ? (bytes / model.vocabularySize) * tokens : bytes;
  return total;
}

/** Seconds for one sequence of `length` tokens from an empty state, logits after the last. */
async function prefill(
  model: LanguageModel,
  { length, signal }: { length: number; signal: AbortSignal },
): Promise<number> {
  await using states = await model.createStates(1);
  const batch: Batch = {
    tokens: Uint32Array.from({ length }, (_, index) => (index * 7919) % model.vocabularySize),
    starts: Uint32Array.of(0, length),
    slots: Uint32Array.of(0),
    wanted: Uint32Array.of(length - 1),
  };
  await listen(signal);
  const began = performance.now();
  await model.forward(states, batch);
  return (performance.now() - began) / 1000;
}

/** Seconds for `steps` steps of `size` sequences, a token each. */
async function decode(
  model: LanguageModel,
  { size, steps, signal }: { size: number; steps: number; signal: AbortSignal },
): Promise<number> {
  await using states = await model.createStates(size);
  const indices = Uint32Array.from({ length: size }, (_, index) => index);
  const batch: Batch = {
    tokens: indices.map((index) => (index * 7919) % model.vocabularySize),
    starts: Uint32Array.from({ length: size + 1 }, (_, index) => index),
    slots: indices,
    wanted: indices,
  };
  const began = performance.now();
  for (let step = 0; step < steps; step++) {
    await model.forward(states, batch);
    await listen(signal);
  }
  return (performance.now() - began) / 1000;
}

/** Lets Ctrl-C in: a backend on this thread leaves the event loop no turn of its own. Costs microseconds. */
async function listen(signal: AbortSignal): Promise<void> {
  await setImmediate();
  signal.throwIfAborted();
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
