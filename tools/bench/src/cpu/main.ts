/** `node dist/cpu.js machine | cpu | compare`; `child` is how it starts itself for one measurement. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execute } from '../common/execute.js';
import { type Measured, runRounds } from './cases.js';
import { bestTable, compareTable, enginesOf, type Side } from './compare-report.js';
import { compareCases, cpuCases } from './cpu-cases.js';
import { cpuTable, limitTable, operationTable, type OwnMeasured } from './cpu-report.js';
import type { Job } from './jobs.js';
import { buildMachine, type LimitSample, mergeLimits, parseMachine } from './machine.js';
import { modelsOf } from './models.js';
import { type Options, readOptions, usage, UsageError } from './options.js';
import { type JobRunner, performJob, runJob } from './run-job.js';

const repository = fileURLToPath(new URL('../../../', import.meta.url));
const folders = {
  models: join(repository, 'bench/out/models'),
  cache: join(repository, 'bench/out/cache'),
  results: join(repository, 'bench/results'),
  fixtures: join(repository, 'tools/fixtures/dist/main.js'),
  machineSource: join(repository, 'tools/bench/native/machine.cc'),
};
const nodeLlamaCppVersion = '3.22.1';
/** Far larger than any cache. */
const largeBuffer = 2 ** 30;
const self = fileURLToPath(import.meta.url);
const [word, argument] = process.argv.slice(2);

if (word === 'child') {
  await performJob(JSON.parse(argument ?? '') as Job);
  // node-llama-cpp keeps threads that would hold the process.
  process.exit(0);
}
try {
  const options = readOptions(process.argv.slice(2), { cores: availableParallelism() });
  if (options) await main(options);
  else console.log(usage);
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`${error.message}\n\n${usage}`);
  process.exitCode = 2;
}

interface Report {
  readonly title: string;
  readonly text: string;
  readonly data: object;
}

async function main(options: Options): Promise<void> {
  const runner: JobRunner = { self, wrap: options.wrap };
  const reports = { machine: reportMachine, cpu: reportCpu, compare: reportCompare };
  const { title, text, data } = await reports[options.command](options, runner);
  const report = `# ${title}\n\n${surroundings()}\n\n${text}\n`;
  console.log(report);
  if (options.json !== undefined) {
    const about = { cpu: processor(), cores: cpus().length, node: process.version };
    const settings = { ...options, date: new Date().toISOString() };
    writeFileSync(options.json, JSON.stringify({ about, settings, ...data }, undefined, 1));
  }
  if (!options.write) return;
  mkdirSync(folders.results, { recursive: true });
  const names = { machine: 'machine', cpu: 'cpu', compare: 'cpu-compare' };
  writeFileSync(join(folders.results, `${names[options.command]}.md`), report);
}

function processor(): string {
  return cpus()[0]?.model.trim() ?? 'unknown processor';
}

function surroundings(): string {
  const load = loadavg()[0] ?? 0;
  const words = publicWords(process.argv.slice(2));
  const command = ['node tools/bench/dist/cpu.js', ...words].join(' ');
  return `${processor()}, ${cpus().length} cores, load average ${load.toFixed(1)} at the end; Node ${process.version}; ${new Date().toISOString().slice(0, 10)}; \`${command}\`.`;
}

/** The command as others would give it: without the folders of this machine, and what only says where output goes. */
function publicWords(words: readonly string[]): string[] {
  const local = ['--wrap', '--json'];
  return words
    .filter(
      (each, index) =>
        each !== '--write' && ![each, words[index - 1]].some((word) => local.includes(word ?? '')),
    )
    .map((each) => basename(each));
}

/** One more round of the machine's limits each time; reading is tried with each of these sizes as well as a large one. */
async function machineMeter(
  { threads, sizes }: { threads: readonly number[]; sizes: readonly number[] },
  runner: JobRunner,
): Promise<{ measure: () => Promise<void>; limits: () => LimitSample[] }> {
  const program = await buildMachine({ source: folders.machineSource, cache: folders.cache });
  const runs: (readonly LimitSample[])[] = [];
  const bytes = [...new Set([largeBuffer, ...sizes])].join(',');
  const command = [program, '--threads', threads.join(','), '--bytes', bytes, '--rounds', '1'];
  return {
    measure: async () => {
      const { output, failure } = await runJob({ kind: 'command', command }, runner);
      if (output === undefined) throw new Error(`The machine's limits: ${failure}`);
      runs.push(parseMachine(output).results);
    },
    limits: () => mergeLimits(runs),
  };
}

async function reportMachine(options: Options, runner: JobRunner): Promise<Report> {
  const { measure, limits } = await machineMeter({ ...options, sizes: [] }, runner);
  for (let round = 0; round < options.rounds; round++) await measure();
  return {
    title: 'Limits of this machine',
    text: limitTable(limits()),
    data: { limits: limits() },
  };
}

async function reportCpu(options: Options, runner: JobRunner): Promise<Report> {
  const models = await modelsOf(options, { ...folders, models: options.models ?? folders.models });
  const sizes = models.map(({ cost }) => cost.weightBytes);
  const meter = await machineMeter({ ...options, sizes }, runner);
  const measured = await runRounds(cpuCases(models, options), {
    rounds: options.rounds,
    runner,
    betweenRounds: meter.measure,
    onRun: progress,
  });
  const cases = measured.filter(
    (each): each is OwnMeasured & Measured<Side> => 'backend' in each.job,
  );
  const costs = new Map(models.map(({ name, cost }) => [name, cost]));
  const limits = meter.limits();
  const operations = operationTable(cases);
  const parts = [
    `${engineLines(measured)}\n`,
    explanation(options),
    cpuTable(cases, { costs, limits }),
    ...(operations === undefined ? [] : ['## Where the time goes', operations]),
    '## Limits, measured between the rounds',
    limitTable(limits),
  ];
  const data = { limits, costs: Object.fromEntries(costs), cases: measured };
  return { title: 'Speed on the CPU', text: parts.join('\n\n'), data };
}

function explanation({ rounds, seconds }: Options): string {
  return `tokens/s over all sequences: median [lowest–highest; runs] of ${rounds} interleaved rounds of at least ${seconds} s, each in a process of its own; runs during which other programs took a measured core are left out where two others remain. \`decode\` and \`prefill\`: \`Executable.run\`, every step awaited; \`generate\`: \`Model.generate\`, greedy. GB/s: every matrix of the file once a step, one row of the embedding table and the state read and written for each token; GOP/s: two for each element of a matrix. Their shares are of the medians below, bandwidth with a buffer as large as the model. JavaScript: processor time of JavaScript's thread, of the time that passed; outside: the part of a step outside the addon's clock, which is JavaScript and threads that wake each other. Load: opening, uploading and compiling, the file in the page cache. Peak: the largest resident size of the process.`;
}

async function reportCompare(options: Options, runner: JobRunner): Promise<Report> {
  const folder = options.install ? await installNodeLlamaCpp() : options.nodeLlamaCpp;
  if (folder === undefined && options.llamaBench === undefined) {
    throw new UsageError('compare needs --llama-bench PATH, --node-llama-cpp FOLDER or --install.');
  }
  const models = await modelsOf(options, { ...folders, models: options.models ?? folders.models });
  const cases = compareCases(models, options, { folder });
  const measured = await runRounds(cases, { rounds: options.rounds, runner, onRun: progress });
  const parts = [
    `${engineLines(measured)}\n`,
    `tokens/s over all sequences, and ours divided by theirs within each round: median [lowest–highest; runs] of ${options.rounds} interleaved rounds on the same file, each measurement in a process of its own, one at a time. Ours in parentheses: \`run\` is \`Executable.run\` without choosing tokens, as llama.cpp's tools do not; \`generate\` is \`Model.generate\`, greedy, as node-llama-cpp is asked to. Runs during which other programs took a measured core are left out where two others remain.`,
    compareTable(measured),
    ...(options.threads.length > 1
      ? ['## Each with the threads that suit it best', bestTable(measured)]
      : []),
  ];
  return { title: 'Beside others on the CPU', text: parts.join('\n\n'), data: { cases: measured } };
}

function engineLines(measured: readonly Measured[]): string {
  return enginesOf(measured)
    .map((engine) => `- ${engine}`)
    .join('\n');
}

function progress(text: string): void {
  console.error(text);
}

/** Into the cache, where it is found the next time. */
async function installNodeLlamaCpp(): Promise<string> {
  const folder = join(folders.cache, `node-llama-cpp-${nodeLlamaCppVersion}`);
  mkdirSync(folder, { recursive: true });
  const name = `node-llama-cpp@${nodeLlamaCppVersion}`;
  // Its install script would only look for a binary, which is a package of its own.
  const options = ['--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund', '--no-save'];
  const { errors, status } = await execute(['npm', 'install', ...options, name]);
  if (status !== '0')
    throw new Error(`npm could not install ${name} (${status}): ${errors.trim()}`);
  return folder;
}
