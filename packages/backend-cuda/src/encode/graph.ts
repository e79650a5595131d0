/** A program as what is launched for it: nodes over buffers, whose launches may differ from bucket to bucket. */
import type { Limits, NormParameters, Program, Value } from '@rwkv-ts/backend';
import {
  type Access,
  accessOf,
  type Answer,
  type BoundParameter,
  ValueViews,
  type View as ViewOf,
} from '@rwkv-ts/program';
import type { Kernel } from '../kernels/kernel.js';
import type { PreparedForm } from '../kernels/prepare.js';
import type { StoredMatrix } from '../weights/layout.js';

/** What a launch has rows for: tokens, wanted tokens or sequences. */
export type RowKind = 'T' | 'R' | 'S';

/** As kernels know it: the index into `Step.counts`. */
export const rowKindCode: { readonly [K in RowKind]: number } = { T: 0, R: 1, S: 2 };

export const rowCount = (kind: RowKind, { tokens, wanted, sequences }: Limits): number =>
  ({ T: tokens, R: wanted, S: sequences })[kind];

/** Rows of f32 numbers, without gaps. */
export interface RowsBuffer {
  readonly kind: 'rows';
  readonly rows: 'T' | 'R';
  readonly width: number;
  /** The rows that `run` gives out. */
  readonly answer: Answer | undefined;
}

/** Rows of x as a product wants them. */
export interface PreparedBuffer {
  readonly kind: 'prepared';
  readonly rows: 'T' | 'R';
  readonly width: number;
  readonly form: PreparedForm;
}

/** Memory of one launch. */
export interface ScratchBuffer {
  readonly kind: 'scratch';
  readonly bytes: number;
}

export type Buffer = RowsBuffer | PreparedBuffer | ScratchBuffer;
export type View = ViewOf<RowsBuffer>;

/**
 * What a field of a kernel's arguments holds. Rows: a view, a parameter (from one of its numbers on), or nothing.
 * Pointers: a state, an embedding table as the file has it, bytes of scratch, or of the counters, or nothing. Counts: a
 * number, the bytes of a row of such a table, or its format.
 */
export type Argument =
  | number
  | { readonly view: View }
  | { readonly parameter: BoundParameter }
  | { readonly state: string }
  | { readonly table: string }
  | { readonly rowBytesOf: string }
  | { readonly fileFormatOf: string }
  | { readonly matrix: string }
  | { readonly prepared: PreparedBuffer }
  | { readonly scratch: ScratchBuffer; readonly offset: number }
  | { readonly counters: number }
  | undefined;

/** By the names of a kernel's fields; those left out are 0, or nothing. */
export type Values = Readonly<Record<string, Argument>>;

export interface Launch {
  readonly kernel: Kernel;
  readonly rows: RowKind;
  /** Blocks along y. */
  readonly parts: number;
  readonly values: Values;
  readonly jobs?: readonly Values[];
}

export interface Node extends Access<Buffer> {
  /** For people and tests. */
  readonly name: string;
  readonly parameters: readonly BoundParameter[];
  /** Done in steps that ask for candidates only. */
  readonly forCandidates: boolean;
  /** One after the other, for steps of at most so many rows. */
  readonly launches: (bucket: Limits) => readonly Launch[];
}

/** A product, which `schedule` puts together with others into a node. */
export interface LinearJob extends Access<RowsBuffer> {
  readonly name: 'job';
  readonly rows: 'T' | 'R';
  readonly weight: string;
  readonly matrix: StoredMatrix;
  readonly x: View;
  readonly out: View;
  readonly bias: BoundParameter | undefined;
  readonly activation: number;
  readonly gate: View | undefined;
  readonly residual: View | undefined;
}

export type Draft = Node | LinearJob;

export const isJob = (draft: Draft): draft is LinearJob => draft.name === 'job';

export type WeightOf = (name: string) => StoredMatrix;

/** Collects drafts. */
export class Graph extends ValueViews<RowsBuffer> {
  readonly drafts: Draft[] = [];
  readonly matrix: WeightOf;

  constructor(program: Program, matrix: WeightOf) {
    super(program, {
      countOf: (weight) => matrix(weight).rows * matrix(weight).columns,
      create: ({ rows, width }, answer) => ({ kind: 'rows', rows, width, answer }),
    });
    this.matrix = matrix;
  }

  internal(width: number, rows: RowsBuffer['rows']): View {
    return { buffer: { kind: 'rows', rows, width, answer: undefined }, column: 0 };
  }

  /** Values that are there before the first launch, in the given order. */
  arrive(values: readonly Value[]): RowsBuffer[] {
    const buffers = values.map((value) => {
      const { buffer } = this.internal(value.width, value.rows);
      this.alias(value, { buffer, column: 0 });
      return buffer;
    });
    const nothing = { reads: [], parameters: [], forCandidates: false, launches: () => [] };
    if (buffers.length > 0) this.drafts.push({ name: 'arrive', ...nothing, writes: buffers });
    return buffers;
  }

  norm({ weight, bias, eps }: NormParameters): Values {
    return { weight: this.parameter({ weight }), bias: this.parameter({ weight: bias }), eps };
  }

  /** A node of one launch. `writes`: those of the values, or of the jobs' values, that the kernel writes. */
  add(node: {
    readonly kernel: Kernel;
    readonly rows: RowKind;
    readonly values: Values;
    readonly jobs?: readonly Values[];
    readonly writes: readonly Argument[];
    /** Blocks along y, and values that depend on the rows of the bucket. */
    readonly parts:
      number | ((rows: number) => { readonly parts: number; readonly values: Values });
    readonly forCandidates?: boolean;
  }): void {
    const { kernel, rows, values, jobs, writes, parts, forCandidates } = node;
    const own = { kernel, rows, ...(jobs ? { jobs } : {}) };
    this.addLaunches({
      name: kernel.name,
      mentioned: [values, ...(jobs ?? [])].flatMap((each) => Object.values(each)),
      writes,
      forCandidates,
      launches: (bucket) => {
        if (typeof parts === 'number') return [{ ...own, parts, values }];
        const fitted = parts(rowCount(rows, bucket));
        return [{ ...own, parts: fitted.parts, values: { ...values, ...fitted.values } }];
      },
    });
  }

  /** A node of any launches. `mentioned`: all that their values hold. */
  addLaunches(node: {
    readonly name: string;
    readonly mentioned: readonly Argument[];
    readonly writes: readonly Argument[];
    readonly forCandidates?: boolean | undefined;
    readonly launches: Node['launches'];
  }): void {
    const { name, mentioned, writes, forCandidates = false, launches } = node;
    const access = accessOf<RowsBuffer>(mentioned, writes);
    const objects = mentioned.filter((each) => typeof each === 'object');
    const scratch = objects.flatMap((each) => ('scratch' in each ? [each.scratch] : []));
    this.drafts.push({
      name,
      reads: access.reads,
      writes: [...access.writes, ...scratch],
      parameters: objects.flatMap((each) => ('parameter' in each ? [each.parameter] : [])),
      forCandidates,
      launches,
    });
  }

  linear(parts: {
    readonly weight: string;
    readonly rows: 'T' | 'R';
    readonly x: View;
    readonly out: View;
    readonly bias?: BoundParameter | undefined;
    readonly activation?: number;
    readonly gate?: View | undefined;
    readonly residual?: View | undefined;
  }): void {
    const { weight, rows, x, out, bias, activation = 0, gate, residual } = parts;
    const reads = [x, gate, residual].flatMap((view) => (view ? [view.buffer] : []));
    const matrix = this.matrix(weight);
    const own = { weight, rows, matrix, x, out, bias, activation, gate, residual };
    this.drafts.push({ name: 'job', ...own, reads, writes: [out.buffer] });
  }
}
