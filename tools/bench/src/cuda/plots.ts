/** Plots of the `speed` command, beside its tables. */
import type { CudaDevice, CudaRates } from '@rwkv-ts/backend-cuda';
import { barChart, type Line, lineChart } from '../common/chart.js';
import type { Plot } from '../common/results.js';
import { decodeBytes, stepOperations } from '../cpu/model-cost.js';
import { median, type Sample } from '../cpu/statistics.js';
import { type ModelResult, nameOf, type TestResult } from './measure.js';
import type { Measured } from './report.js';

export interface PlotOptions {
  readonly limits: CudaRates | undefined;
  /** On what and when it was measured. */
  readonly subtitle: string;
}

export function plotSubtitle(
  { name, driverVersion }: CudaDevice,
  { release, date }: { readonly release: string | undefined; readonly date: string },
): string {
  const driver = release === undefined ? '' : `driver ${release}, `;
  return `${name}, ${driver}CUDA ${driverVersion}; ${date}`;
}

/** Decode for each shape, and prefill of all; none where nothing was measured. */
export function speedPlots(models: readonly Measured[], options: PlotOptions): Plot[] {
  const measured = models.filter((model): model is ModelResult => !('failure' in model));
  const shapes = [...new Set(measured.map(({ shape }) => shape))];
  const decode = shapes.flatMap((shape) => {
    const own = measured.filter((model) => model.shape === shape);
    const lines = own.flatMap((model, index) => decodeLines(model, index, options));
    if (lines.every(({ isLimit }) => isLimit)) return [];
    const svg = lineChart({
      title: `Decode, RWKV-7 ${shape}`,
      subtitle: options.subtitle,
      x: { label: 'sequences that decode together', scale: 'logarithmic' },
      y: { label: 'tokens/s over all sequences', scale: 'logarithmic' },
      lines: [...lines, ...own.flatMap((model, index) => peerLines(model, own.length + index))],
    });
    return [{ file: `cuda-decode-${shape}.svg`, title: `Decode, ${shape}`, svg }];
  });
  return [...decode, ...prefillPlots(measured, options)];
}

/** One for each batch: where some are measured twice, the first kind of rows. */
function decodeTests({ tests }: ModelResult): TestResult[] {
  const byBatch = new Map<number, TestResult>();
  for (const test of tests) {
    if (test.kind === 'decode' && !byBatch.has(test.tokens)) byBatch.set(test.tokens, test);
  }
  return [...byBatch.values()].toSorted((a, b) => a.tokens - b.tokens);
}

const rateOf = (samples: readonly Sample[]): number => median(samples.map(({ value }) => value));

function decodeLines(model: ModelResult, color: number, { limits }: PlotOptions): Line[] {
  const { format, cost } = model;
  const tests = decodeTests(model);
  const measured = tests.filter(({ samples }) => samples.length > 0);
  const points = measured.map(({ tokens, samples }) => [tokens, rateOf(samples)] as const);
  const own = points.length > 0 ? [{ name: format, points, color }] : [];
  if (!limits) return own;
  const bound = tests.map(({ tokens }) => {
    const seconds = decodeBytes(cost, tokens) / limits.copyBytesPerSecond;
    return [tokens, tokens / seconds] as const;
  });
  return [...own, { name: `${format}, copy bandwidth`, points: bound, color, isLimit: true }];
}

/** The engine's name up to what else it says. */
const peerName = ({ format, peer }: ModelResult): string =>
  `${format}, ${peer?.engine?.split(',')[0] ?? 'peer'}`;

const peerSamples = ({ peer }: ModelResult, test: TestResult): readonly Sample[] =>
  peer?.samples[nameOf(test)] ?? [];

function peerLines(model: ModelResult, color: number): Line[] {
  const points = decodeTests(model).flatMap((test) => {
    const theirs = peerSamples(model, test);
    return theirs.length > 0 ? [[test.tokens, rateOf(theirs)] as const] : [];
  });
  return points.length > 0 ? [{ name: peerName(model), points, color }] : [];
}

/** Operations a second, in 10¹², by the length of the prompt. */
type Rates = ReadonlyMap<number, number>;

function prefillRates(
  model: ModelResult,
  samplesOf: (test: TestResult) => readonly Sample[],
): Rates {
  const tests = model.tests.filter(({ kind }) => kind === 'prefill');
  return new Map(
    tests.flatMap((test) => {
      const samples = samplesOf(test);
      if (samples.length === 0) return [];
      const operations = stepOperations(model.cost, { tokens: test.tokens, wanted: 1 });
      return [[test.tokens, ((operations / test.tokens) * rateOf(samples)) / 1e12] as const];
    }),
  );
}

function prefillPlots(models: readonly ModelResult[], { limits, subtitle }: PlotOptions): Plot[] {
  const columns = new Set<string>();
  const bars = new Map<string, Map<string, number>>();
  const add = (name: string, { shape }: ModelResult, rates: Rates): void => {
    for (const [tokens, rate] of rates) {
      const column = `${shape}, ${tokens}`;
      columns.add(column);
      const own = bars.get(name) ?? new Map<string, number>();
      bars.set(name, own.set(column, rate));
    }
  };
  for (const model of models) {
    add(
      model.format,
      model,
      prefillRates(model, ({ samples }) => samples),
    );
  }
  for (const model of models) {
    const theirs = prefillRates(model, (test) => peerSamples(model, test));
    add(peerName(model), model, theirs);
  }
  if (bars.size === 0) return [];
  const categories = [...columns];
  const rate = limits && limits.matrixFlopsPerSecond / 1e12;
  const svg = barChart({
    title: 'Prefill, RWKV-7',
    subtitle,
    categories,
    y: { label: 'TFLOP/s, by model and length of the prompt' },
    bars: [...bars].map(([name, own]) => ({
      name,
      values: categories.map((category) => own.get(category)),
    })),
    ...(rate === undefined ? {} : { limit: { name: 'matrix units', value: rate } }),
  });
  return [{ file: 'cuda-prefill.svg', title: 'Prefill', svg }];
}
