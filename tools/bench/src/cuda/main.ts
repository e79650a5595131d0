/** `node dist/cuda.js speed | soak` */
import { readFileSync } from 'node:fs';
import { BackendError } from '@rwkv-ts/backend';
import { type CudaBackend, type CudaRates, createCudaBackend } from '@rwkv-ts/backend-cuda';
import { publish, type Report, surroundings } from '../common/results.js';
import { measureModel, type Subject } from './measure.js';
import { type Options, readOptions, usage, UsageError } from './options.js';
import {
  deviceLine,
  engineLines,
  explanation,
  failureLines,
  limitLine,
  type Measured,
  modelTable,
  releaseOf,
  speedTable,
} from './report.js';
import { soakCuda } from './soak.js';

try {
  const options = readOptions(process.argv.slice(2));
  if (options) await main(options);
  else console.log(usage);
} catch (error) {
  if (error instanceof UsageError) {
    console.error(`${error.message}\n\n${usage}`);
    process.exitCode = 2;
  } else if (BackendError.isInstance(error) && error.code === 'DEVICE_UNAVAILABLE') {
    console.error(error.message);
    process.exitCode = 1;
  } else throw error;
}

/** A fresh one each time. */
function open({ device, driver, sparse }: Options): Promise<CudaBackend> {
  // A library in the driver's place has its kernels compiled in, and takes anything for theirs.
  const standIn = driver === undefined ? {} : { driver, kernels: [new Uint8Array(1)] };
  return createCudaBackend({ device, sparseColumns: sparse, ...standIn });
}

async function main(options: Options): Promise<void> {
  const { device, limits } = await lookAt(options);
  const reports = { speed: reportSpeed, soak: reportSoak };
  const report = await reports[options.command](options, limits);
  const isReal = options.driver === undefined;
  const release = isReal ? driverRelease() : undefined;
  const kind = isReal ? '' : ' A library stands in for the driver: its times say nothing of a GPU.';
  publish(report, {
    where: `${deviceLine(device, release)}${kind} ${surroundings('cuda.js', ['--driver', '--peer'])}`,
    about: { device, driver: release },
    settings: options,
  });
}

/** Before any model takes memory. */
async function lookAt(options: Options) {
  await using backend = await open(options);
  const { device } = backend;
  console.error(device.name);
  const isAsked = options.command === 'speed' && options.limits;
  return { device, limits: isAsked ? await backend.measure() : undefined };
}

function driverRelease(): string | undefined {
  try {
    return releaseOf(readFileSync('/proc/driver/nvidia/version', 'utf8'));
  } catch {
    return undefined;
  }
}

async function reportSpeed(options: Options, limits: CudaRates | undefined): Promise<Report> {
  const models: Measured[] = [];
  for (const shape of options.shapes) {
    for (const format of options.formats) {
      console.error(`${shape} ${format}`);
      models.push(await attempt({ shape, format }, options));
    }
  }
  const failures = failureLines(models);
  const parts = [
    ...(limits ? [limitLine(limits)] : []),
    explanation(options),
    ...engineLines(models),
    '## Tokens a second',
    ...speedTable(models, { limits, sparse: options.sparse }),
    '## Models',
    modelTable(models),
    ...(failures.length > 0 ? ['## What could not be measured', failures.join('\n')] : []),
  ];
  const text = parts.join('\n\n');
  return { title: 'Speed on CUDA', file: 'cuda.md', text, data: { limits, models } };
}

/** A model that does not fit is a line of the table, and the others are still measured. */
async function attempt(subject: Subject, options: Options): Promise<Measured> {
  try {
    return await measureModel(subject, { ...options, open: () => open(options) });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const failure = BackendError.isInstance(error) ? `${error.code}: ${message}` : message;
    console.error(failure);
    return { ...subject, failure };
  }
}

async function reportSoak(options: Options): Promise<Report> {
  await using backend = await open(options);
  const onLine = (line: string): void => {
    console.error(line);
  };
  const { steps, cycles } = options;
  const { text, failures } = await soakCuda(backend, { steps, cycles, onLine });
  if (failures.length > 0) process.exitCode = 1;
  const verdict =
    failures.length > 0 ? failures.map((each) => `- ${each}`).join('\n') : 'All flat.';
  const what = `${steps} decode steps of the demonstration model, a snapshot written back every thousandth, then ${cycles} times loading and disposing; ${backend.name}. Counted: the backend's \`bytes\`; free: by the driver, where other programs move it too.`;
  const whole = [what, text, verdict].join('\n\n');
  return { title: 'CUDA: memory', file: 'cuda-soak.md', text: whole, data: { text, failures } };
}
