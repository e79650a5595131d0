/** The order of dispatches: products that wait for the same come together, where their matrices are of one format and page. */
import type { Limits, WeightFormat } from '@rwkv-ts/backend';
import { phasesOf } from '@rwkv-ts/program';
import type { KernelFeatures } from '../engine.js';
import { groupCount, linearParts, mostJobs, tileSize } from '../kernels/linear.js';
import { columnsGroup, linearColumnsShader } from '../kernels/linear-columns.js';
import { linearTileIntegersShader } from '../kernels/linear-tile-integers.js';
import { linearTileShader } from '../kernels/linear-tile.js';
import {
  linearVectorShader,
  mostVectorRows,
  vectorGroup,
  vectorRows,
} from '../kernels/linear-vector.js';
import { quantisedRow, quantiseGroup, quantiseShader } from '../kernels/quantise.js';
import { type Halves, hasHalves } from '../kernels/weight-formats.js';
import { formatLayouts } from '../weights/layout.js';
import type { Page } from '../weights/pages.js';
import { rowsWord } from './context.js';
import {
  type Argument,
  type Buffer,
  type Candidate,
  type Draft,
  isJob,
  type LinearJob,
  type MatrixShape,
  matrixValues,
  type Node,
  padded,
  type Variant,
  type View,
} from './graph.js';

export interface ScheduleOptions {
  readonly limits: Limits;
  readonly features: KernelFeatures;
}

/** A draft as early as what it reads allows; what becomes ready together is independent of each other. */
export function schedule(drafts: readonly Draft[], options: ScheduleOptions): Node[] {
  const phases: Draft[][] = [];
  for (const [index, phase] of phasesOf(drafts).entries()) {
    (phases[phase] ??= []).push(drafts[index]!);
  }
  const quantised = new QuantisedViews(options);
  return phases.flatMap((phase) => [
    ...phase.filter((draft): draft is Node => !isJob(draft)),
    ...together(phase.filter(isJob)).flatMap((jobs) => [
      ...quantised.nodeFor(jobs),
      linearNode(jobs, options, quantised),
    ]),
  ]);
}

function together(jobs: readonly LinearJob[]): LinearJob[][] {
  const groups = new Map<Page, Map<string, LinearJob[][]>>();
  for (const job of jobs) {
    const { page } = job.shape.parts[job.matrix.part]!;
    const key = `${job.rows} ${job.shape.format} ${job.shape.layout}`;
    const byPage = groups.get(page) ?? new Map<string, LinearJob[][]>();
    groups.set(page, byPage);
    const lists = byPage.get(key) ?? [];
    byPage.set(key, lists);
    const last = lists.at(-1);
    if (last && last.length < mostJobs) last.push(job);
    else lists.push([job]);
  }
  return [...groups.values()].flatMap((byPage) => [...byPage.values()].flat());
}

function linearNode(
  jobs: readonly LinearJob[],
  { limits, features }: ScheduleOptions,
  quantised: QuantisedViews,
): Node {
  const [first] = jobs;
  const { rows, shape } = first!;
  const most = mostRows(rows, limits);
  const quads = jobs.map(quadsOf);
  return {
    kind: 'linear',
    rows,
    variants: variantsOf({ shape, quads, most, features }),
    values: {
      rows: rowsWord(rows),
      jobs_count: jobs.length,
      ...Object.assign(
        {},
        ...jobs.map((job, index) => jobValues(job, { index, q: quantised.of(job) })),
      ),
    } as Record<string, Argument>,
    matrices: [first!.matrix],
    reads: jobs.flatMap((job) => [
      ...job.reads,
      ...(quantised.of(job) ? [quantised.of(job)!.buffer] : []),
    ]),
    writes: jobs.flatMap(({ writes }) => writes),
  };
}

/** Of four rows each; the last part also writes the zeros between the width and the stride. */
function quadsOf({ shape, matrix }: LinearJob): number {
  return Math.ceil(shape.parts[matrix.part]!.rows / 8) * 2;
}

function variantsOf(parts: {
  readonly shape: Pick<MatrixShape, 'format' | 'layout'>;
  readonly quads: readonly number[];
  readonly most: number;
  readonly features: KernelFeatures;
}): Variant[] {
  const { quads, most, features } = parts;
  const { format, layout } = parts.shape;
  const groups = (unit: number) => groupCount(quads, unit);
  const halves = halvesOf(format, features);
  const vectors = (tokens: number, integers: boolean): Candidate[] =>
    (features.subgroups ? [true, false] : [false]).flatMap((subgroups) =>
      halves.map((each) => ({
        shader: linearVectorShader({ format, halves: each, layout, tokens, subgroups, integers }),
        groups: groups(vectorGroup[subgroups ? 'subgroups' : 'plain'].quads),
        rowsPerGroup: tokens,
        rowsFirst: true,
      })),
    );
  const sparse = (tokens: 1 | 4): Candidate[] =>
    halves.map((each) => ({
      shader: linearColumnsShader({ format, halves: each, tokens }),
      groups: groups(columnsGroup),
      rowsPerGroup: tokens,
      rowsFirst: true,
    }));
  const forms = vectorRows.filter((_, index) => index === 0 || most > vectorRows[index - 1]!);
  const variants = forms.map((tokens): Variant => {
    const integers = multipliesIntegers(format, features, 'few') ? vectors(tokens, true) : [];
    // Rows of a matrix in columns can be read, though slowly.
    const shaders =
      layout === 'columns'
        ? [...sparse(tokens), vectors(tokens, false).at(-1)!]
        : [...integers, ...vectors(tokens, false)];
    return { mostRows: tokens === vectorRows.at(-1) ? mostVectorRows : tokens, shaders };
  });
  if (most <= mostVectorRows) return variants;
  const makers = [
    ...(multipliesIntegers(format, features, 'many') ? [linearTileIntegersShader] : []),
    linearTileShader,
  ];
  const tiles = makers.flatMap((make) =>
    halves.map((each) => ({
      shader: make({ format, halves: each, layout }),
      groups: groups(tileSize / 4),
      rowsPerGroup: tileSize,
      rowsFirst: true,
    })),
  );
  // Where tiles come out wrong, the other form does, if slowly.
  return [
    ...variants,
    { mostRows: Infinity, shaders: [...tiles, variants.at(-1)!.shaders.at(-1)!] },
  ];
}

/** Ways to read half precision, best first; one of any name where the format has none. */
function halvesOf(format: WeightFormat, features: KernelFeatures): Halves[] {
  if (!hasHalves(format)) return ['unpacked'];
  return [features.halves ? 'native' : 'unpacked', 'exact'];
}

const mostRows = (rows: 'T' | 'R', limits: Limits): number =>
  rows === 'T' ? limits.tokens : limits.wanted;

/** Whether products of `few` rows of x, or of `many`, are tried with integers first. */
function multipliesIntegers(
  format: WeightFormat,
  { integers }: KernelFeatures,
  rows: 'few' | 'many',
): boolean {
  const hasBlocks = formatLayouts[format].scales !== 'none';
  return hasBlocks && (integers === 'always' || (integers === 'batches' && rows === 'many'));
}

/** Rows that products of integers read, made once for everything that multiplies them. */
class QuantisedViews {
  readonly #options: ScheduleOptions;
  readonly #views = new Map<Buffer, Map<string, View>>();

  constructor(options: ScheduleOptions) {
    this.#options = options;
  }

  of({ x, shape }: LinearJob): View | undefined {
    return this.#views.get(x.buffer)?.get(keyOf(x, shape.columns));
  }

  /** What must come before the jobs. */
  nodeFor(jobs: readonly LinearJob[]): Node[] {
    const [{ rows, shape }] = jobs as [LinearJob];
    const { limits, features } = this.#options;
    const isForFew = multipliesIntegers(shape.format, features, 'few');
    const isForMany = multipliesIntegers(shape.format, features, 'many');
    if (!isForFew && !(isForMany && mostRows(rows, limits) > mostVectorRows)) return [];
    const fresh: { readonly x: View; readonly q: View; readonly width: number }[] = [];
    for (const job of jobs) {
      if (this.of(job)) continue;
      const { x } = job;
      const width = job.shape.columns;
      const stride = padded(quantisedRow(width).words);
      const q: View = { buffer: { rows, stride, answer: undefined }, column: 0 };
      const views = this.#views.get(x.buffer) ?? new Map<string, View>();
      this.#views.set(x.buffer, views.set(keyOf(x, width), q));
      fresh.push({ x, q, width });
    }
    if (fresh.length === 0) return [];
    const groups = Math.max(
      ...fresh.map(({ width }) => Math.ceil(quantisedRow(width).blocks / quantiseGroup)),
    );
    const candidate = { shader: quantiseShader(), rowsPerGroup: 1, rowsFirst: false };
    const all = { mostRows: Infinity, shaders: [{ ...candidate, groups: groups * fresh.length }] };
    const none = { mostRows: mostVectorRows, shaders: [{ ...candidate, groups: 0 }] };
    const fields = fresh.flatMap(({ x, q, width }, index): [string, Argument][] => [
      [`x_${index}`, { view: x }],
      [`q_${index}`, { view: q }],
      [`blocks_${index}`, quantisedRow(width).blocks],
    ]);
    const node: Node = {
      kind: 'quantise',
      rows,
      variants: isForFew ? [all] : [none, all],
      values: { rows: rowsWord(rows), groups, ...Object.fromEntries(fields) },
      matrices: [],
      reads: fresh.map(({ x }) => x.buffer),
      writes: fresh.map(({ q }) => q.buffer),
    };
    return [node];
  }
}

const keyOf = ({ column }: View, width: number): string => `${column} ${width}`;

function jobValues(
  job: LinearJob,
  { index, q }: { index: number; q: View | undefined },
): Record<string, Argument> {
  const { shape, matrix, x, out, bias, gate, residual, activation } = job;
  const part = shape.parts[matrix.part]!;
  const codes =
    (bias ? linearParts.bias : 0) |
    (gate ? linearParts.gate : 0) |
    (residual ? linearParts.residual : 0) |
    (activation << 8);
  // A part's rows are columns of everything it is joined with.
  const from = (view: View): Argument => ({
    view: { ...view, column: view.column + part.firstRow },
  });
  const values = {
    x: { view: x },
    q: q && { view: q },
    out: from(out),
    gate: gate && from(gate),
    residual: residual && from(residual),
    bias: bias && { parameter: bias, from: part.firstRow },
    count: part.rows,
    codes,
    quads: quadsOf(job),
    ...matrixValues(shape, matrix.part),
  };
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [`${name}_${index}`, value]),
  );
}
