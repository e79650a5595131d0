/** A program as the dispatches it becomes: nodes that read and write rows of the arena. */
import type { NormParameters, Program, WeightFormat } from '@rwkv-ts/backend';
import {
  type Access,
  accessOf,
  type Answer,
  type BoundParameter,
  ValueViews,
  type View as ViewOf,
} from '@rwkv-ts/program';
import type { Shader } from '../kernels/shader.js';
import { formatLayouts, type MatrixLayout } from '../weights/layout.js';
import type { PagedPart } from '../weights/pages.js';

/** Rows of activations, one per token or wanted token; written by one node. */
export interface Buffer {
  readonly rows: 'T' | 'R';
  /** Numbers of a row, a multiple of 8. */
  readonly stride: number;
  /** The rows that `run` gives out. */
  readonly answer: Answer | undefined;
}

export type View = ViewOf<Buffer>;

/** A parameter may be taken from one of its numbers on. */
export type Argument =
  | number
  | { readonly view: View }
  | { readonly parameter: BoundParameter; readonly from?: number }
  | undefined;

/** A matrix of the weights handle, as the encoder needs to know it. */
export interface MatrixShape {
  readonly format: WeightFormat;
  readonly rows: number;
  readonly columns: number;
  readonly layout: MatrixLayout;
  readonly parts: readonly PagedPart[];
}

export interface BoundPart {
  readonly weight: string;
  readonly part: number;
}

/** One way to do a node, for steps of up to `mostRows` rows. */
export interface Variant {
  readonly mostRows: number;
  /** In order of preference: the first that works on the device is taken. */
  readonly shaders: readonly Candidate[];
}

export interface Candidate {
  readonly shader: Shader;
  /** Groups for one row of the step; 0 where there is nothing to do. */
  readonly groups: number;
  /** Rows of the step that a group covers. */
  readonly rowsPerGroup: number;
  /** Whether rows go over the groups' x and z, and `groups` over y; else rows go over y and z. */
  readonly rowsFirst: boolean;
}

export interface Node extends Access<Buffer> {
  readonly kind: string;
  readonly rows: 'T' | 'R' | 'S';
  readonly variants: readonly Variant[];
  readonly values: Readonly<Record<string, Argument>>;
  readonly matrices: readonly BoundPart[];
  readonly state?: string;
  /** Done in steps that ask for candidates only. */
  readonly forCandidates?: boolean;
}

/** A product of one part of a matrix, which `schedule` puts together with others into a node. */
export interface LinearJob extends Access<Buffer> {
  readonly kind: 'job';
  readonly rows: 'T' | 'R';
  readonly matrix: BoundPart;
  readonly shape: MatrixShape;
  readonly x: View;
  readonly out: View;
  readonly bias: BoundParameter | undefined;
  readonly activation: number;
  readonly gate: View | undefined;
  readonly residual: View | undefined;
}

export type Draft = Node | LinearJob;

export const isJob = (draft: Draft): draft is LinearJob => draft.kind === 'job';

/** Numbers of a row as it lies in the arena. */
export const padded = (width: number): number => Math.ceil(width / 8) * 8;

export interface NodeParts {
  readonly rows: Node['rows'];
  readonly shader: Shader;
  readonly groups: number;
  readonly values: Readonly<Record<string, Argument>>;
  /** Names of `values` that the kernel writes. */
  readonly writes: readonly string[];
  readonly matrices?: readonly BoundPart[];
  readonly state?: string;
  readonly forCandidates?: boolean;
}

/** Collects nodes. */
export class Graph extends ValueViews<Buffer> {
  readonly drafts: Draft[] = [];
  readonly #matrix: (weight: string) => MatrixShape;

  constructor(program: Program, matrix: (weight: string) => MatrixShape) {
    super(program, {
      countOf: (weight) => matrix(weight).rows * matrix(weight).columns,
      create: ({ width, rows }, answer) => ({ rows, stride: padded(width), answer }),
    });
    this.#matrix = matrix;
  }

  matrix(weight: string): MatrixShape {
    return this.#matrix(weight);
  }

  internal(width: number, rows: Buffer['rows']): View {
    return { buffer: { rows, stride: padded(width), answer: undefined }, column: 0 };
  }

  norm({ weight, bias, eps }: NormParameters): Record<string, Argument> {
    return { weight: this.parameter({ weight }), bias: this.parameter({ weight: bias }), eps };
  }

  add(parts: NodeParts): void {
    const { rows, shader, groups, values, writes, matrices = [], state, forCandidates } = parts;
    const candidate = { shader, groups, rowsPerGroup: 1, rowsFirst: false };
    this.drafts.push({
      kind: shader.label,
      rows,
      variants: [{ mostRows: Infinity, shaders: [candidate] }],
      values,
      matrices,
      ...(state === undefined ? {} : { state }),
      ...(forCandidates === undefined ? {} : { forCandidates }),
      ...accessOf(
        Object.values(values),
        writes.map((name) => values[name]),
      ),
    });
  }

  /** One job per part of the matrix. */
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
    const shape = this.#matrix(weight);
    const reads = [x, gate, residual].flatMap((view) => (view ? [view.buffer] : []));
    for (const part of shape.parts.keys()) {
      const matrix = { weight, part };
      const writes = [out.buffer];
      const job = { rows, matrix, shape, x, out, bias, activation, gate, residual, reads, writes };
      this.drafts.push({ kind: 'job', ...job });
    }
  }
}

/** Where a kernel finds a part in its page. */
export function matrixValues(
  { format, columns, parts }: MatrixShape,
  part: number,
): { base: number; granules: number; highs: number; scales: number } {
  const { offset, highsAt, scalesAt } = parts[part]!;
  const granules = Math.ceil(columns / 8);
  const base = offset / (formatLayouts[format].element === 'u32' ? 4 : 16);
  return { base, granules, highs: offset / 4 + highsAt, scales: offset / 4 + scalesAt };
}
