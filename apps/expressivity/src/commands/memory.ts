/** `memory`: constant memory and time per token. */
import { join } from 'node:path';
import { demoModel } from '@rwkv-ts/demo-model';
import type { Command } from 'commander';
import { measureDecoding, type Measurement, type Sample } from '../memory/measure.js';
import { machine, markdownTable, writeReport } from '../report.js';
import { svgChart } from '../svg-chart.js';
import { integer } from './integer-option.js';

interface MemoryOptions {
  readonly tokens: number;
  readonly threads: number;
  readonly seed: number;
  readonly write?: string;
}

export function addMemory(program: Command): void {
  program
    .command('memory')
    .description('decode a long context on the CPU backend: time per token and memory as it grows')
    .option(
      '-t, --tokens <count>',
      'length of the context',
      integer(1000, 1_000_000_000),
      1_000_000,
    )
    .option('--threads <count>', 'threads that compute', integer(1, 256), 1)
    .option('--seed <number>', 'of the text', integer(0, 2 ** 32 - 1), 1)
    .option('--write <folder>', 'write expressivity-memory.md and its plots there')
    .addHelpText(
      'after',
      `
Examples:
  memory --tokens 100000
  memory --write bench/results`,
    )
    .action(async (options: MemoryOptions) => {
      const measurement = await measureDecoding({
        ...options,
        onSample: (sample) => {
          console.log(describe(sample));
        },
      });
      if (options.write !== undefined) await writeReports(measurement, options, options.write);
    });
}

const megabytes = (bytes: number): number => Number((bytes / 1e6).toFixed(1));

function describe({
  tokens,
  microseconds,
  fastMicroseconds,
  residentBytes,
  heapBytes,
  backendBytes,
}: Sample): string {
  return (
    `${String(tokens).padStart(9)} tokens: ${microseconds.toFixed(0)} µs a token, ${fastMicroseconds.toFixed(0)} µs for the fastest tenth; ` +
    `memory of the process ${megabytes(residentBytes)} MB, JavaScript ${megabytes(heapBytes)} MB, backend ${megabytes(backendBytes)} MB`
  );
}

/** What a transformer of this shape would keep: a key and a value of every channel, layer and token, as f16. */
function cacheBytes({ config: { layers, channels } }: Measurement, tokens: number): number {
  return 2 * 2 * layers * channels * tokens;
}

async function writeReports(
  measurement: Measurement,
  options: MemoryOptions,
  folder: string,
): Promise<void> {
  const { samples } = measurement;
  const xLabel = 'tokens of context';
  const time = svgChart(
    [
      { name: 'median', points: samples.map((each) => [each.tokens, each.microseconds]) },
      {
        name: 'fastest tenth',
        points: samples.map((each) => [each.tokens, each.fastMicroseconds]),
      },
    ],
    { title: 'Time per token', xLabel, yLabel: 'µs' },
  );
  const memory = svgChart(
    [
      { name: 'process', points: samples.map((each) => [each.tokens, each.residentBytes / 1e6]) },
      { name: 'backend', points: samples.map((each) => [each.tokens, each.backendBytes / 1e6]) },
    ],
    { title: 'Memory', xLabel, yLabel: 'MB' },
  );
  await writeReport(join(folder, 'expressivity-memory-time.svg'), time);
  await writeReport(join(folder, 'expressivity-memory-bytes.svg'), memory);
  const path = await writeReport(
    join(folder, 'expressivity-memory.md'),
    report(measurement, options),
  );
  console.log(`wrote ${path}`);
}

function report(measurement: Measurement, { tokens, threads, seed }: MemoryOptions): string {
  const { samples, config, stateBytes, backend } = measurement;
  const rows = samples.map((each) => [
    each.tokens,
    Number(each.microseconds.toFixed(0)),
    Number(each.fastMicroseconds.toFixed(0)),
    megabytes(each.residentBytes),
    megabytes(each.heapBytes),
    megabytes(each.backendBytes),
    stateBytes,
    megabytes(cacheBytes(measurement, each.tokens)),
  ]);
  const header = [
    'tokens',
    'µs a token',
    'µs, fastest tenth',
    'process, MB',
    'JavaScript, MB',
    'backend, MB',
    'state, bytes',
    'transformer, MB',
  ];
  return `# Constant memory and time per token

${machine()}; \`node apps/expressivity/dist/main.js memory --tokens ${tokens} --threads ${threads} --seed ${seed} --write bench/results\`, on ${backend}.

The demonstration model (\`${demoModel.fileName}\`: RWKV-${config.version}, ${config.layers} layers, ${config.channels} channels) writes text, a token at a time, each drawn from its own distribution.

- \`µs a token\`: median of the last 1000 steps before that length; \`fastest tenth\`: what a tenth of them stayed below, which other programs on the machine disturb less.
- \`process\`: resident memory; \`JavaScript\`: its objects and buffers; \`backend\`: weights, state and all else it holds; \`state\`: what the model remembers of the text.
- \`transformer\`: computed, not measured: the keys and values that attention with the same layers and channels would keep, as f16.

${markdownTable(header, rows)}

![Time per token](expressivity-memory-time.svg)

![Memory](expressivity-memory-bytes.svg)
`;
}
