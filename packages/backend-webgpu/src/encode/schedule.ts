/** The order of dispatches: products that wait for the same come together, where their matrices are of one format and page. */
import type { Limits, WeightFormat } from '@rwkv-ts/backend';
import {
  groupCount,
  linearParts,
  linearTileShader,
  linearVectorShader,
  mostJobs,
  mostVectorRows,
  tileSize,
  vectorGroup,
  vectorRows,
} from '../kernels/linear.js';
import { headerWords } from '../kernels/shader.js';
import type { WebGpuTier } from '../options.js';
import type { Page } from '../weights/pages.js';
import {
  type Argument,
  type Buffer,
  type Draft,
  isJob,
  type LinearJob,
  matrixValues,
  type Node,
  type Variant,
  type View,
} from './graph.js';

export interface ScheduleOptions {
  readonly limits: Limits;
  readonly tier: WebGpuTier;
}

/** A draft as early as what it reads allows; what becomes ready together is independent of each other. */
export function schedule(drafts: readonly Draft[], options: ScheduleOptions): Node[] {
  const ready = new Map<Buffer, number>();
  const phases: Draft[][] = [];
  for (const draft of drafts) {
    const phase = Math.max(0, ...draft.reads.map((buffer) => ready.get(buffer) ?? 0));
    for (const buffer of draft.writes)
      ready.set(buffer, Math.max(phase + 1, ready.get(buffer) ?? 0));
    (phases[phase] ??= []).push(draft);
  }
  return phases.flatMap((phase) => [
    ...phase.filter((draft): draft is Node => !isJob(draft)),
    ...together(phase.filter(isJob)).map((jobs) => linearNode(jobs, options)),
  ]);
}

function together(jobs: readonly LinearJob[]): LinearJob[][] {
  const groups = new Map<Page, Map<string, LinearJob[][]>>();
  for (const job of jobs) {
    const { page } = job.shape.parts[job.matrix.part]!;
    const key = `${job.rows} ${job.shape.format}`;
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

function linearNode(jobs: readonly LinearJob[], { limits, tier }: ScheduleOptions): Node {
  const [first] = jobs;
  const { rows, shape } = first!;
  const most = rows === 'T' ? limits.tokens : limits.wanted;
  const quads = jobs.map(quadsOf);
  return {
    kind: 'linear',
    rows,
    variants: variantsOf({ format: shape.format, quads, most, tier }),
    values: {
      rows: rows === 'T' ? headerWords.tokens : headerWords.wanted,
      jobs_count: jobs.length,
      ...Object.assign({}, ...jobs.map((job, index) => jobValues(job, index))),
    } as Record<string, Argument>,
    matrices: [first!.matrix],
    reads: jobs.flatMap(({ reads }) => reads),
    writes: jobs.flatMap(({ writes }) => writes),
  };
}

/** Of four rows each; the last part also writes the zeros between the width and the stride. */
function quadsOf({ shape, matrix }: LinearJob): number {
  return Math.ceil(shape.parts[matrix.part]!.rows / 8) * 2;
}

function variantsOf(parts: {
  readonly format: WeightFormat;
  readonly quads: readonly number[];
  readonly most: number;
  readonly tier: WebGpuTier;
}): Variant[] {
  const { format, quads, most, tier } = parts;
  const groups = (unit: number) => groupCount(quads, unit);
  const forms = vectorRows.filter((_, index) => index === 0 || most > vectorRows[index - 1]!);
  const variants = forms.map((tokens): Variant => {
    const candidate = (subgroups: boolean, exact = false) => ({
      shader: linearVectorShader({ format, tokens, subgroups, exact }),
      groups: groups(vectorGroup[subgroups ? 'subgroups' : 'plain'].quads),
      rowsPerGroup: tokens,
      rowsFirst: true,
    });
    const shaders = [...(tier === 'subgroups' ? [candidate(true)] : []), candidate(false)];
    if (format === 'f16') shaders.push(candidate(false, true));
    return { mostRows: tokens === vectorRows.at(-1) ? mostVectorRows : tokens, shaders };
  });
  if (most <= mostVectorRows) return variants;
  const shader = linearTileShader({ format });
  const tile = { shader, groups: groups(tileSize / 4), rowsPerGroup: tileSize, rowsFirst: true };
  // Where tiles come out wrong, the other form does, if slowly.
  return [...variants, { mostRows: Infinity, shaders: [tile, variants.at(-1)!.shaders.at(-1)!] }];
}

function jobValues(job: LinearJob, index: number): Record<string, Argument> {
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
