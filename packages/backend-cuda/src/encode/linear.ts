/** Products that wait for the same and whose matrices are alike, as launches of up to `mostJobs`. */
import { BackendError, type Limits } from '@rwkv-ts/backend';
import {
  jobBlocks,
  type LinearVariant,
  linearVariants,
  type MatrixFeatures,
  mostJobs,
  scratchOf,
} from '../kernels/linear.js';
import type { PreparedForm } from '../kernels/prepare.js';
import {
  type Buffer,
  type Launch,
  type LinearJob,
  type Node,
  type PreparedBuffer,
  rowCount,
  rowKindCode,
  type ScratchBuffer,
  type Values,
} from './graph.js';

/** Blocks along y of a launch. */
const mostBlocks = 65_535;
/** Of what a job's scratch begins at. */
const scratchAlignment = 16;

export interface ScheduleOptions {
  readonly limits: Limits;
  readonly features: MatrixFeatures;
}

/** Jobs of one launch. */
export interface LinearGroup {
  readonly rows: 'T' | 'R';
  readonly jobs: readonly LinearJob[];
  /** Those that a step within the limits may need. */
  readonly variants: readonly LinearVariant[];
}

/** A job's rows of x in a form; undefined where no launch of the job needs it. */
export type PreparedOf = (job: LinearJob, form: PreparedForm) => PreparedBuffer | undefined;

/** The one for steps of so many rows. */
export const variantFor = ({ variants }: LinearGroup, rows: number): LinearVariant =>
  variants.find(({ mostRows }) => rows <= mostRows)!;

/** @throws BackendError `UNSUPPORTED_OP` */
export function groupJobs(jobs: readonly LinearJob[], options: ScheduleOptions): LinearGroup[] {
  const groups = new Map<string, LinearJob[][]>();
  for (const job of jobs) {
    const { format, layout } = job.matrix;
    const key = `${job.rows} ${format} ${layout}`;
    const lists = groups.get(key) ?? [];
    groups.set(key, lists);
    const last = lists.at(-1);
    if (last && last.length < mostJobs && blocks([...last, job], options) <= mostBlocks) {
      last.push(job);
    } else {
      requireBlocks(job, options);
      lists.push([job]);
    }
  }
  return [...groups.values()].flat().map((own) => {
    const { rows } = own[0]!;
    return { rows, jobs: own, variants: variantsOf(own[0]!, options) };
  });
}

function variantsOf(
  { matrix, rows }: LinearJob,
  { limits, features }: ScheduleOptions,
): readonly LinearVariant[] {
  const { format, layout } = matrix;
  const most = rowCount(rows, limits);
  const all = linearVariants({ format, layout, features });
  return all.filter((_, index) => index === 0 || all[index - 1]!.mostRows < most);
}

/** Along y, with the variant that has most. */
function blocks(jobs: readonly LinearJob[], options: ScheduleOptions): number {
  const all = variantsOf(jobs[0]!, options).map((variant) =>
    jobs.reduce((sum, { matrix }) => sum + jobBlocks(variant, matrix), 0),
  );
  return Math.max(...all);
}

function requireBlocks(job: LinearJob, options: ScheduleOptions): void {
  const got = blocks([job], options);
  if (got <= mostBlocks) return;
  const { rows, columns } = job.matrix;
  throw new BackendError({
    code: 'UNSUPPORTED_OP',
    message: `A product with ${job.weight} [${rows}, ${columns}] takes ${got} blocks; a launch has at most ${mostBlocks}.`,
    expected: mostBlocks,
    got,
  });
}

/** Counters of one launch begin at those of all others, since launches run one after the other. */
export function linearNode(
  group: LinearGroup,
  { limits, preparedOf }: { readonly limits: Limits; readonly preparedOf: PreparedOf },
): { readonly node: Node; readonly counterBytes: number } {
  const { rows, jobs, variants } = group;
  const needs = variants.map((variant) => {
    const most = Math.min(variant.mostRows, rowCount(rows, limits));
    return scratchOfJobs(jobs, variant, most);
  });
  const scratch: ScratchBuffer = {
    kind: 'scratch',
    bytes: Math.max(...needs.map(({ partialBytes }) => partialBytes)),
  };
  const forms = new Set(variants.flatMap(({ prepare }) => (prepare ? [prepare] : [])));
  const prepared = jobs.flatMap((job) => [...forms].flatMap((form) => preparedOf(job, form) ?? []));
  const node: Node = {
    name: 'linear',
    parameters: jobs.flatMap(({ bias }) => bias ?? []),
    forCandidates: false,
    reads: [...new Set<Buffer>([...jobs.flatMap(({ reads }) => reads), ...prepared])],
    writes: [...new Set<Buffer>([...jobs.flatMap(({ writes }) => writes), scratch])],
    launches: (bucket) => [launchOf(group, { rows: rowCount(rows, bucket), scratch, preparedOf })],
  };
  return { node, counterBytes: Math.max(...needs.map(({ counterBytes }) => counterBytes)) };
}

/** Each job's after that of the one before. */
function scratchOfJobs(jobs: readonly LinearJob[], variant: LinearVariant, rows: number) {
  let [partialBytes, counterBytes] = [0, 0];
  const begins = jobs.map(({ matrix }) => {
    const begin = { partials: partialBytes, counters: counterBytes };
    const own = scratchOf(variant, matrix, rows);
    partialBytes += Math.ceil(own.partialBytes / scratchAlignment) * scratchAlignment;
    counterBytes += own.counterBytes;
    return { ...begin, isNeeded: own.partialBytes > 0 };
  });
  return { begins, partialBytes, counterBytes };
}

function launchOf(
  group: LinearGroup,
  parts: {
    readonly rows: number;
    readonly scratch: ScratchBuffer;
    readonly preparedOf: PreparedOf;
  },
): Launch {
  const { rows, scratch, preparedOf } = parts;
  const variant = variantFor(group, rows);
  const { begins } = scratchOfJobs(group.jobs, variant, rows);
  let blocksBefore = 0;
  const jobs = group.jobs.map((job, index): Values => {
    const { partials, counters, isNeeded } = begins[index]!;
    const { weight, matrix, x, out, bias, gate, residual, activation } = job;
    const own = variant.prepare && { prepared: preparedOf(job, variant.prepare)! };
    const firstBlock = blocksBefore;
    blocksBefore += jobBlocks(variant, matrix);
    return {
      matrix: { matrix: weight },
      x: own ? undefined : { view: x },
      prepared: own,
      out: { view: out },
      bias: bias && { parameter: bias },
      gate: gate && { view: gate },
      residual: residual && { view: residual },
      partials: isNeeded ? { scratch, offset: partials } : undefined,
      counters: isNeeded ? { counters } : undefined,
      activation,
      first_block: firstBlock,
      block_outputs: variant.outputsPerBlock(matrix.columns),
      splits: variant.splits(matrix),
    };
  });
  return {
    kernel: variant.kernel,
    rows: group.rows,
    parts: blocksBefore,
    values: { rows: rowKindCode[group.rows], job_count: jobs.length },
    jobs,
  };
}
