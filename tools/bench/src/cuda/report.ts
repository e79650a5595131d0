/** Tables of the `speed` command. */
import type { CudaDevice, CudaRates } from '@rwkv-ts/backend-cuda';
import { decodeBytes, stepOperations } from '../cpu/model-cost.js';
import { median, ratios, summarise } from '../cpu/statistics.js';
import { type Column, figure, percent, spread, table } from '../cpu/table.js';
import { type ModelResult, nameOf, type Subject, type TestResult } from './measure.js';
import type { Options } from './options.js';

/** `failure`: instead of everything else, where it could not be measured. */
export type Measured = ModelResult | (Subject & { readonly failure: string });

/** Sequences up to which a step reads only the columns that relu² left, of matrices of these formats. */
const sparseSequences = 4;
const sparseFormats = ['f32', 'f16', 'bf16'];

export function deviceLine(
  { name, computeCapability, multiprocessors, memoryBytes, driverVersion }: CudaDevice,
  release: string | undefined,
): string {
  const driver = release === undefined ? '' : `driver ${release}, `;
  const memory = (memoryBytes / 1e9).toFixed(1);
  return `Device: **${name}**, compute capability ${computeCapability}, ${multiprocessors} multiprocessors, ${memory} GB; ${driver}CUDA ${driverVersion}.`;
}

/** Of the driver, from what it says in /proc/driver/nvidia/version. */
export const releaseOf = (text: string): string | undefined =>
  /Kernel Module(?: for \S+)?\s+(\d[\d.]*)/.exec(text)?.[1];

export function explanation(options: Options): string {
  const { rounds, seconds, candidates, logits } = options;
  const also = logits.length > 0 ? `, and all logits with ${logits.join(', ')}` : '';
  const kinds =
    candidates === 0
      ? 'all logits'
      : `the ${candidates} likeliest tokens, chosen on the device${also}`;
  const peer =
    options.peer.length > 0
      ? ' Peer: the other engine, run after each round; ratio: ours over theirs within a round.'
      : '';
  return `RWKV-7 models of random weights. Decode: a token of each of so many sequences; it gives ${kinds}. Prefill: a prompt of so many tokens from an empty state; it gives the last token's logits. tokens/s over all sequences, every step awaited until its rows are in the host's memory: median [lowest–highest; runs] of ${rounds} rounds of at least ${seconds} s. Bytes are those that a step must read and write: every weight once, states, and a row of the embedding table a token; operations are two for each element of a matrix that a token passes through. ${options.limits ? 'Their shares are of the limits above. ' : ''}MB: states and the memory of steps of this test. Load: uploading, without the time in which random numbers were made.${peer}`;
}

export function limitLine({ copyBytesPerSecond, matrixFlopsPerSecond }: CudaRates): string {
  const [copy, flops] = [copyBytesPerSecond / 1e9, matrixFlopsPerSecond / 1e12].map(figure);
  return `Limits, measured before: copies within the device ${copy} GB/s (256 MiB, read and written), matrix units ${flops} TFLOP/s (\`mma.sync\`, f16 with f32 sums, from registers; on Hopper \`wgmma\`, which the kernels do not use, reaches more).`;
}

const left = (title: string): Column => ({ title, align: 'left' });
const named = [left('model'), left('format')];

export function modelTable(models: readonly Measured[]): string {
  const rows = models.map((model) => {
    if ('failure' in model) return [model.shape, model.format, 'failed'];
    const { shape, format, loadSeconds, weightBytes, bytesLeft } = model;
    const speed = weightBytes / loadSeconds / 1e9;
    const sizes = [figure(loadSeconds), figure(speed), (weightBytes / 1e6).toFixed(0)];
    return [shape, format, ...sizes, String(bytesLeft)];
  });
  const titles = ['load s', 'GB/s', 'weights MB', 'bytes left'];
  return table([...named, ...titles.map((title) => ({ title }))], rows);
}

/** What could not be measured, in words. */
export function failureLines(models: readonly Measured[]): string[] {
  return models.flatMap((model) => {
    const name = `${model.shape} ${model.format}`;
    if ('failure' in model) return [`- ${name}: ${model.failure}`];
    const tests = model.tests.flatMap((test) =>
      test.failure === undefined ? [] : [`- ${name}, ${nameOf(test)}: ${test.failure}`],
    );
    const peer = model.peer?.failures.map((failure) => `- ${name}, peer: ${failure}`) ?? [];
    return [...tests, ...peer];
  });
}

export function engineLines(models: readonly Measured[]): string[] {
  const engines = models.flatMap((model) => ('failure' in model ? [] : (model.peer?.engine ?? [])));
  return [...new Set(engines)].map((engine) => `Peer: ${engine}.`);
}

/** Why no PyTorch was measured beside it. */
export function absenceLine(reason: string): string {
  return `No PyTorch beside it: ${reason.replace(/\.$/, '')}.`;
}

const isSparse = ({ format }: Subject, { kind, tokens }: TestResult, sparse: string): boolean =>
  sparse === 'auto' &&
  kind === 'decode' &&
  tokens <= sparseSequences &&
  sparseFormats.includes(format);

export interface SpeedOptions {
  readonly limits: CudaRates | undefined;
  readonly sparse: Options['sparse'];
}

/** The table, and below it what its marks mean. */
export function speedTable(
  models: readonly Measured[],
  { limits, sparse }: SpeedOptions,
): readonly string[] {
  const measured = models.flatMap((model) => ('failure' in model ? [] : [model]));
  const hasPeer = measured.some(({ peer }) => peer !== undefined);
  const rows = measured.flatMap((model) =>
    model.tests.map((test) => {
      const mark = isSparse(model, test, sparse) ? '*' : '';
      const name = [model.shape, model.format, test.rows, nameOf(test)];
      if (test.failure !== undefined) return [...name, 'OUT_OF_MEMORY'];
      const cells = stepCells(model, test, { limits, mark });
      return [...name, ...cells, ...(hasPeer ? peerCells(model, test) : [])];
    }),
  );
  const titles = [
    'tokens/s',
    'step ms',
    'GB a step',
    'of copies',
    'TFLOP/s',
    'of matrix units',
    'MB',
  ];
  const columns = [...titles, ...(hasPeer ? ['peer', 'ratio'] : [])].map((title) => ({ title }));
  const whole = table([...named, left('rows'), left('test'), ...columns], rows);
  const hasMarks = measured.some((model) =>
    model.tests.some((test) => test.failure === undefined && isSparse(model, test, sparse)),
  );
  return hasMarks ? [whole, sparseNote] : [whole];
}

const sparseNote = `\\* The dense bytes: of the second channel-mix matrix such a step reads only the columns that relu² left, about half with random weights and fewer in trained models, so that it can pass 100 %. \`--sparse never\` measures without.`;

function stepCells(
  { cost }: ModelResult,
  { kind, tokens, samples, bytes }: TestResult,
  { limits, mark }: { readonly limits: CudaRates | undefined; readonly mark: string },
): string[] {
  const seconds = tokens / median(samples.map(({ value }) => value));
  const isDecode = kind === 'decode';
  const moved = isDecode
    ? decodeBytes(cost, tokens)
    : cost.weightBytes + tokens * cost.rowBytes + cost.stateBytes;
  const operations = stepOperations(cost, { tokens, wanted: isDecode ? tokens : 1 });
  const share = (rate: number, limit: number | undefined): string =>
    limit === undefined ? '–' : percent(rate / limit);
  return [
    spread(summarise(samples.map(({ value }) => value))),
    figure(1000 * seconds),
    figure(moved / 1e9),
    share(moved / seconds, limits?.copyBytesPerSecond) + mark,
    figure(operations / seconds / 1e12),
    share(operations / seconds, limits?.matrixFlopsPerSecond),
    (bytes / 1e6).toFixed(0),
  ];
}

function peerCells({ peer }: ModelResult, test: TestResult): string[] {
  const theirs = peer?.samples[nameOf(test)] ?? [];
  const rates = summarise(theirs.map(({ value }) => value));
  return [spread(rates), spread(summarise(ratios(test.samples, theirs)))];
}
