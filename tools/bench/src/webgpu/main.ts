/** `node dist/webgpu.js speed | soak` */
import { publish, type Report, surroundings } from '../common/results.js';
import { type Bandwidth, measureBandwidth } from './bandwidth.js';
import { type AdapterFinder, adapterFinder } from './gpu.js';
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
import { soakWebGpu } from './soak.js';

try {
  const options = readOptions(process.argv.slice(2));
  if (options) await main(options);
  else console.log(usage);
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`${error.message}\n\n${usage}`);
  process.exitCode = 2;
}

async function main(options: Options): Promise<void> {
  const finder = adapterFinder(options.dawn);
  const adapter = await finder.find();
  const reports = { speed: reportSpeed, soak: reportSoak };
  const report = await reports[options.command](options, finder);
  const { name, isProcessor } = adapter;
  const kind = isProcessor
    ? ', a driver for processors: counts hold for every device, times for none but this one'
    : '';
  publish(report, {
    where: `Adapter: **${name}**${kind}. ${surroundings('webgpu.js')}`,
    about: { adapter: name, isProcessor },
    settings: options,
  });
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
  const { name, text, failures } = await soakWebGpu(finder, { ...options, onLine });
  if (failures.length > 0) process.exitCode = 1;
  const verdict =
    failures.length > 0 ? failures.map((each) => `- ${each}`).join('\n') : 'All flat.';
  const what = `${options.steps} decode steps of the demonstration model, a snapshot written back every thousandth, then ${options.cycles} times loading and disposing; ${name}. Buffers and their bytes as the device made and destroyed them; counted: the backend's \`bytes\`.`;
  const whole = [what, text, verdict].join('\n\n');
  return { title: 'WebGPU: memory', file: 'webgpu-soak.md', text: whole, data: { text, failures } };
}
