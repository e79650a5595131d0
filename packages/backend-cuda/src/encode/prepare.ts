/** Rows of x as products want them: each view once for a form, in the buckets where a product reads it so. */
import type { Limits } from '@rwkv-ts/backend';
import { type PreparedForm, prepareKernels } from '../kernels/prepare.js';
import {
  type Launch,
  type LinearJob,
  type Node,
  type PreparedBuffer,
  rowCount,
  rowKindCode,
  type RowsBuffer,
  type View,
} from './graph.js';
import { type LinearGroup, type PreparedOf, variantFor } from './linear.js';

interface PreparedView {
  readonly x: View;
  readonly buffer: PreparedBuffer;
  /** Those that read it. */
  readonly groups: LinearGroup[];
}

export class PreparedViews {
  readonly #views = new Map<RowsBuffer, Map<string, PreparedView>>();

  /** What must come before the groups: a node for each form and kind of rows, of views that no earlier group reads so. */
  nodesFor(groups: readonly LinearGroup[]): Node[] {
    const fresh = new Map<string, PreparedView[]>();
    for (const group of groups) {
      for (const { prepare } of group.variants) {
        if (!prepare) continue;
        for (const job of group.jobs) {
          const found = this.#find(job, prepare);
          if (found) {
            if (!found.groups.includes(group)) found.groups.push(group);
            continue;
          }
          const view = this.#create(job, prepare);
          view.groups.push(group);
          const key = `${group.rows} ${prepare}`;
          fresh.set(key, [...(fresh.get(key) ?? []), view]);
        }
      }
    }
    return [...fresh.values()].map(prepareNode);
  }

  readonly of: PreparedOf = (job, form) => this.#find(job, form)?.buffer;

  #find({ x, matrix }: LinearJob, form: PreparedForm): PreparedView | undefined {
    return this.#views.get(x.buffer)?.get(keyOf(x.column, matrix.columns, form));
  }

  #create({ x, matrix, rows }: LinearJob, form: PreparedForm): PreparedView {
    const width = matrix.columns;
    const buffer: PreparedBuffer = { kind: 'prepared', rows, width, form };
    const view = { x, buffer, groups: [] };
    const own = this.#views.get(x.buffer) ?? new Map<string, PreparedView>();
    this.#views.set(x.buffer, own.set(keyOf(x.column, width, form), view));
    return view;
  }
}

const keyOf = (column: number, width: number, form: PreparedForm): string =>
  `${column} ${width} ${form}`;

/** All of one form and kind of rows. */
function prepareNode(views: readonly PreparedView[]): Node {
  const { form, rows } = views[0]!.buffer;
  const kernel = prepareKernels[form];
  return {
    name: kernel.name,
    parameters: [],
    forCandidates: false,
    reads: [...new Set(views.map(({ x }) => x.buffer))],
    writes: views.map(({ buffer }) => buffer),
    launches: (bucket: Limits) => {
      const count = rowCount(rows, bucket);
      const needed = views.filter(({ groups }) =>
        groups.some((group) => variantFor(group, count).prepare === form),
      );
      const launches: Launch[] = [];
      for (let at = 0; at < needed.length; at += kernel.jobs.most) {
        const jobs = needed.slice(at, at + kernel.jobs.most).map(({ x, buffer }) => ({
          x: { view: x },
          prepared: { prepared: buffer },
          width: buffer.width,
        }));
        const values = { rows: rowKindCode[rows], job_count: jobs.length };
        launches.push({ kernel, rows, parts: jobs.length, values, jobs });
      }
      return launches;
    },
  };
}
