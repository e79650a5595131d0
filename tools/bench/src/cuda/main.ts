/** `node dist/cuda.js speed | soak` */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BackendError, type WeightFormat } from '@rwkv-ts/backend';
import { type CudaBackend, type CudaRates, createCudaBackend } from '@rwkv-ts/backend-cuda';
import { publish, type Report, surroundings, today } from '../common/results.js';
import { measureModel, type Subject } from './measure.js';
import { type Options, readOptions, usage, UsageError } from './options.js';
import { type PlotOptions, plotSubtitle, speedPlots } from './plots.js';
import {
  absenceLine,
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
import { torchFormats, torchPeer, torchScript } from './torch.js';

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
  const isReal = options.driver === undefined;
  const release = isReal ? driverRelease() : undefined;
  const subtitle = plotSubtitle(device, { release, date: today() });
  const report = await (options.command === 'speed'
    ? reportSpeed(options, { limits, subtitle })
    : reportSoak(options));
  const kind = isReal ? '' : ' A library stands in for the driver: its times say nothing of a GPU.';
  publish(report, {
    where: `${deviceLine(device, release)}${kind} ${surroundings('cuda.js', ['--driver', '--peer', '--python'])}`,
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

async function reportSpeed(options: Options, { limits, subtitle }: PlotOptions): Promise<Report> {
  const folder = mkdtempSync(join(tmpdir(), 'rwkv-peer-'));
  try {
    const peer = await choosePeer(options, folder);
    const models = await measureAll(options, peer);
    const text = speedText(models, { options, limits, peer });
    const plots = speedPlots(models, { limits, subtitle });
    return { title: 'Speed on CUDA', file: 'cuda.md', text, plots, data: { limits, models } };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

interface Peer {
  readonly command: readonly string[];
  /** Others are measured without it. */
  readonly formats: readonly WeightFormat[];
  /** Why there is no PyTorch, where it was looked for. */
  readonly absence?: string;
}

/** The program that was named, or PyTorch. `folder`: for files that it keeps from round to round. */
async function choosePeer(options: Options, folder: string): Promise<Peer> {
  const { formats, peer, python, device } = options;
  if (peer.length > 0) return { command: peer, formats };
  const found = await torchPeer({ python, device, script: torchScript, folder });
  console.error(found.absence === undefined ? 'Peer: PyTorch.' : absenceLine(found.absence));
  return { ...found, formats: torchFormats };
}

async function measureAll(options: Options, { command, formats }: Peer): Promise<Measured[]> {
  const models: Measured[] = [];
  for (const shape of options.shapes) {
    for (const format of options.formats) {
      console.error(`${shape} ${format}`);
      const peer = formats.includes(format) ? command : [];
      models.push(await attempt({ shape, format }, { ...options, peer }));
    }
  }
  return models;
}

function speedText(
  models: readonly Measured[],
  parts: { readonly options: Options; readonly limits: CudaRates | undefined; readonly peer: Peer },
): string {
  const { options, limits, peer } = parts;
  const failures = failureLines(models);
  return [
    ...(limits ? [limitLine(limits)] : []),
    explanation({ ...options, peer: peer.command }),
    ...engineLines(models),
    ...(peer.absence === undefined ? [] : [absenceLine(peer.absence)]),
    '## Tokens a second',
    ...speedTable(models, { limits, sparse: options.sparse }),
    '## Models',
    modelTable(models),
    ...(failures.length > 0 ? ['## What could not be measured', failures.join('\n')] : []),
  ].join('\n\n');
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
