/** `node dist/webgpu.js speed | soak` */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Bandwidth, measureBandwidth } from './bandwidth.js';
import { type AdapterFinder, adapterFinder, type WatchedAdapter } from './gpu.js';
import { measureModel, type Subject } from './measure.js';
import { type Options, readOptions, usage, UsageError } from './options.js';
import {
  bandwidthLine,
  explanation,
  failureLines,
  type Measured,
  speedTable,
  stepTable,
} from './report.js';
import { soak } from './soak.js';

const results = fileURLToPath(new URL('../../../bench/results', import.meta.url));

try {
  const options = readOptions(process.argv.slice(2));
  if (options) await main(options);
  else console.log(usage);
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`${error.message}\n\n${usage}`);
  process.exitCode = 2;
}

interface Report {
  readonly title: string;
  readonly file: string;
  readonly text: string;
  readonly data: object;
}

async function main(options: Options): Promise<void> {
  const finder = adapterFinder(options.dawn);
  const adapter = await finder.find();
  const reports = { speed: reportSpeed, soak: reportSoak };
  const { title, file, text, data } = await reports[options.command](options, finder);
  const report = `# ${title}\n\n${surroundings(adapter)}\n\n${text}\n`;
  console.log(report);
  if (options.json !== undefined) {
    const { name, isProcessor } = adapter;
    const about = {
      adapter: name,
      isProcessor,
      cpu: processor(),
      cores: cpus().length,
      node: process.version,
    };
    const settings = { ...options, date: new Date().toISOString() };
    writeFileSync(options.json, JSON.stringify({ about, settings, ...data }, undefined, 1));
  }
  if (!options.write) return;
  mkdirSync(results, { recursive: true });
  writeFileSync(join(results, file), report);
}

function processor(): string {
  return cpus()[0]?.model.trim() ?? 'unknown processor';
}

function surroundings({ name, isProcessor }: WatchedAdapter): string {
  const load = (loadavg()[0] ?? 0).toFixed(1);
  const given = process.argv.slice(2);
  // What only says where output goes is left out.
  const words = given.filter(
    (word, index) => !['--write', '--json'].includes(word) && given[index - 1] !== '--json',
  );
  const command = ['node tools/bench/dist/webgpu.js', ...words];
  const host = `${processor()}, ${cpus().length} cores, load average ${load} at the end`;
  const kind = isProcessor
    ? ', a driver for processors: counts hold for every device, times for none but this one'
    : '';
  return `Adapter: **${name}**${kind}. ${host}; Node ${process.version}; ${new Date().toISOString().slice(0, 10)}; \`${command.join(' ')}\`.`;
}

async function reportSpeed(options: Options, finder: AdapterFinder): Promise<Report> {
  let bandwidth: Bandwidth | undefined;
  if (options.bandwidth) bandwidth = await measureBandwidth(finder);
  const models: Measured[] = [];
  for (const shape of options.shapes) {
    for (const format of options.formats) {
      console.error(`${shape} ${format}`);
      models.push(await attempt({ shape, format }, { ...options, finder }));
    }
  }
  const parts = [
    explanation(options),
    ...(bandwidth ? [bandwidthLine(bandwidth)] : []),
    '## A step of one token',
    stepTable(models),
    '## Tokens a second',
    speedTable(models, bandwidth),
    ...failureLines(models),
  ];
  const text = parts.join('\n\n');
  return {
    title: 'WebGPU: what a step costs',
    file: 'webgpu.md',
    text,
    data: { bandwidth, models },
  };
}

/** A model that does not fit is a line of the table, and the others are still measured. */
async function attempt(
  subject: Subject,
  options: Options & { readonly finder: AdapterFinder },
): Promise<Measured> {
  try {
    return await measureModel(subject, options);
  } catch (error) {
    const failure = error instanceof Error ? error.message : String(error);
    console.error(failure);
    return { ...subject, failure };
  }
}

async function reportSoak(options: Options, finder: AdapterFinder): Promise<Report> {
  const onLine = (line: string): void => {
    console.error(line);
  };
  const { name, text, failures } = await soak(finder, { ...options, onLine });
  if (failures.length > 0) process.exitCode = 1;
  const verdict =
    failures.length > 0 ? failures.map((each) => `- ${each}`).join('\n') : 'All flat.';
  const what = `${options.steps} decode steps of the demonstration model, a snapshot written back every thousandth, then ${options.cycles} times loading and disposing; ${name}. Buffers and their bytes as the device made and destroyed them; counted: the backend's \`bytes\`.`;
  const whole = [what, text, verdict].join('\n\n');
  return { title: 'WebGPU: memory', file: 'webgpu-soak.md', text: whole, data: { text, failures } };
}
