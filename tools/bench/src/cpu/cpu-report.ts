/** Tables of the `cpu` command. */
import { countedRuns, type Measured } from './cases.js';
import type { DecodeJob, GenerateJob, JobResult, PrefillJob } from './jobs.js';
import type { LimitSample } from './machine.js';
import { arithmeticOf, decodeBytes, type ModelCost, stepOperations } from './model-cost.js';
import { operationShares, type Profile } from './profile.js';
import { median, summarise } from './statistics.js';
import { type Column, figure, megabytes, percent, spread, table } from './table.js';

export type OwnJob = DecodeJob | PrefillJob | GenerateJob;
export interface OwnMeasured extends Measured {
  readonly job: OwnJob;
}

/** The median over the rounds of the measurements; of several ways to compute, the fastest. */
export function peakOf(
  limits: readonly LimitSample[],
  { tests, threads }: { tests: readonly string[]; threads: number },
): number | undefined {
  const found = limits.filter((each) => tests.includes(each.test) && each.threads === threads);
  return found.length === 0 ? undefined : Math.max(...found.map(({ values }) => median(values)));
}

/** The median of reading a buffer about as large as what a step reads. */
export function bandwidthOf(
  limits: readonly LimitSample[],
  { bytes, threads }: { bytes: number; threads: number },
): number | undefined {
  const distance = (each: LimitSample): number => Math.abs(Math.log(each.bytes / bytes));
  const [nearest] = limits
    .filter((each) => each.test === 'read' && each.threads === threads)
    .sort((a, b) => distance(a) - distance(b));
  return nearest && median(nearest.values);
}

/** What a case moved and computed a second, from the least that its steps need. */
export function throughput(
  { job }: Pick<OwnMeasured, 'job'>,
  { cost, rate }: { cost: ModelCost; rate: number },
): { gigabytes: number; gigaOperations: number } {
  const [tokens, wanted] = job.kind === 'prefill' ? [job.tokens, 1] : [job.batch, job.batch];
  const steps = rate / tokens / 1e9;
  const bytes =
    job.kind === 'prefill'
      ? cost.weightBytes + tokens * cost.rowBytes + cost.stateBytes
      : decodeBytes(cost, job.batch);
  return {
    gigabytes: steps * bytes,
    gigaOperations: steps * stepOperations(cost, { tokens, wanted }),
  };
}

/** Processor time of JavaScript's thread, of the time that passed. */
export function javaScriptShare(runs: readonly JobResult[]): number | undefined {
  const shares = runs.flatMap(({ javaScriptMilliseconds, milliseconds }) =>
    milliseconds && javaScriptMilliseconds !== undefined
      ? [javaScriptMilliseconds / milliseconds]
      : [],
  );
  return shares.length === 0 ? undefined : median(shares);
}

/** The part of a step's time that passes outside the backend's own clock: JavaScript, and threads that wake each other. */
export function outsideShare(runs: readonly JobResult[]): number | undefined {
  const shares = runs.flatMap(({ profile, profiledMilliseconds }) =>
    profile && profiledMilliseconds ? [1 - profile.stepMilliseconds / profiledMilliseconds] : [],
  );
  return shares.length === 0 ? undefined : median(shares);
}

const columns: readonly Column[] = [
  { title: 'model', align: 'left' },
  { title: 'threads' },
  { title: 'test', align: 'left' },
  { title: 'tokens/s' },
  { title: 'GB/s' },
  { title: 'of bandwidth' },
  { title: 'GOP/s' },
  { title: 'of peak' },
  { title: 'JavaScript' },
  { title: 'outside' },
  { title: 'load s' },
  { title: 'peak MB' },
];

export function cpuTable(
  cases: readonly OwnMeasured[],
  { costs, limits }: { costs: ReadonlyMap<string, ModelCost>; limits: readonly LimitSample[] },
): string {
  const rows = cases.map((each) => {
    const counted = countedRuns(each);
    const summary = summarise(counted.map(({ rate }) => rate!));
    const name = [each.file, String(each.threads), each.test];
    if (!summary) return [...name, 'failed'];
    const cost = costs.get(each.file)!;
    const { gigabytes, gigaOperations } = throughput(each, { cost, rate: summary.median });
    const { threads } = each;
    const bandwidth = bandwidthOf(limits, { bytes: cost.weightBytes, threads });
    const peak = peakOf(limits, { tests: arithmeticOf(cost.mainFormat), threads });
    const shares = [javaScriptShare(counted), outsideShare(counted)];
    const load = summarise(counted.flatMap(({ loadSeconds }) => loadSeconds ?? []));
    const memory = summarise(counted.flatMap(({ peakBytes }) => peakBytes ?? []));
    return [
      ...name,
      spread(summary),
      figure(gigabytes),
      bandwidth ? percent(gigabytes / bandwidth) : '–',
      figure(gigaOperations),
      peak ? percent(gigaOperations / peak) : '–',
      ...shares.map((share) => (share === undefined ? '–' : percent(share))),
      load ? figure(load.median) : '–',
      memory ? megabytes(memory.highest) : '–',
    ];
  });
  return table(columns, rows);
}

/** Where the time of a step goes, for each case whose backend tells; nothing where none does. */
export function operationTable(cases: readonly OwnMeasured[]): string | undefined {
  const rows = cases.flatMap((each) => {
    const profiles = countedRuns(each).flatMap(({ profile }) => (profile ? [profile] : []));
    const [first] = profiles;
    if (!first) return [];
    // The shares of one run belong together, so the run of the middle step time speaks for all.
    const byTime = [...profiles].sort((a, b) => perStep(a) - perStep(b));
    const middle = byTime[byTime.length >> 1] ?? first;
    const parts = operationShares(middle)
      .filter(({ share }) => share >= 0.005)
      .map(({ operation, share }) => `${operation} ${percent(share)}`);
    return [
      [each.file, String(each.threads), each.test, figure(perStep(middle)), parts.join(', ')],
    ];
  });
  if (rows.length === 0) return undefined;
  const titles: Column[] = [
    { title: 'model', align: 'left' },
    { title: 'threads' },
    { title: 'test', align: 'left' },
    { title: 'ms a step' },
    { title: 'time of all threads, by operation', align: 'left' },
  ];
  return table(titles, rows);
}

function perStep({ steps, stepMilliseconds }: Profile): number {
  return stepMilliseconds / Math.max(1, steps);
}

export function limitTable(limits: readonly LimitSample[]): string {
  const titles: Column[] = [
    { title: 'limit', align: 'left' },
    { title: 'by', align: 'left' },
    { title: 'threads' },
    { title: 'GB/s or GOP/s' },
  ];
  const rows = limits.map(({ test, instruction, threads, bytes, values }) => {
    const name = bytes === 0 ? test : `${test}, ${megabytes(bytes)} MB`;
    return [name, instruction, String(threads), spread(summarise(values))];
  });
  return table(titles, rows);
}
