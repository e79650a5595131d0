/** A program as the dispatches it becomes: nodes that read and write rows of the arena. */
import type {
  Activation,
  NormParameters,
  Operand,
  Parameter,
  Program,
  Value,
  WeightFormat,
} from '@rwkv-ts/backend';
import { isValue } from '@rwkv-ts/program';
import type { Shader } from '../kernels/shader.js';
import { formatLayouts, type MatrixLayout } from '../weights/layout.js';
import type { PagedPart } from '../weights/pages.js';

/** Rows of activations, one per token or wanted token; written by one node. */
export interface Buffer {
  readonly rows: 'T' | 'R';
  /** Numbers of a row, a multiple of 8. */
  readonly stride: number;
  /** The rows that `run` gives out. */
  readonly answer: 'output' | 'candidates' | undefined;
}

/** Columns of a buffer from `column` on. */
export interface View {
  readonly buffer: Buffer;
  readonly column: number;
}

/** A weight's numbers with its form applied, each repeated `repeat` times. */
export interface BoundParameter {
  readonly weight: string;
  readonly form: Activation | undefined;
  readonly repeat: number;
}

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

export interface Node {
  readonly kind: string;
  readonly rows: 'T' | 'R' | 'S';
  readonly variants: readonly Variant[];
  readonly values: Readonly<Record<string, Argument>>;
  readonly matrices: readonly BoundPart[];
  readonly state?: string;
  readonly reads: readonly Buffer[];
  readonly writes: readonly Buffer[];
  /** Done in steps that ask for candidates only. */
  readonly forCandidates?: boolean;
}

/** A product of one part of a matrix, which `schedule` puts together with others into a node. */
export interface LinearJob {
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
  readonly reads: readonly Buffer[];
  readonly writes: readonly Buffer[];
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

/** Collects nodes; a value of the program is a view, because a slice is only that. */
export class Graph {
  readonly drafts: Draft[] = [];
  readonly #values = new Map<number, View>();
  readonly #output: number;
  readonly #candidates: number | undefined;
  readonly #matrix: (weight: string) => MatrixShape;

  constructor(program: Program, matrix: (weight: string) => MatrixShape) {
    this.#output = program.output.id;
    this.#candidates = program.candidates?.id;
    this.#matrix = matrix;
  }

  matrix(weight: string): MatrixShape {
    return this.#matrix(weight);
  }

  isOutput(value: Value): boolean {
    return value.id === this.#output;
  }

  isCandidates(value: Value): boolean {
    return value.id === this.#candidates;
  }

  /** The view of a value that an earlier node wrote. */
  view(value: Value): View {
    const view = this.#values.get(value.id);
    if (!view) throw new Error(`Value ${value.id} is read before it is written.`);
    return view;
  }

  read(value: Value): Argument {
    return { view: this.view(value) };
  }

  operand(operand: Operand): Argument {
    return isValue(operand) ? this.read(operand) : this.parameter(operand);
  }

  /** A parameter of `count` numbers; one stored with fewer has each repeated. */
  bound({ weight, form }: Parameter, count?: number): BoundParameter {
    const { rows, columns } = this.#matrix(weight);
    return { weight, form, repeat: count === undefined ? 1 : count / (rows * columns) };
  }

  parameter(parameter: Parameter, count?: number): Argument {
    return { parameter: this.bound(parameter, count) };
  }

  /** A new buffer for the value. */
  write(value: Value): Argument {
    return { view: this.writeView(value) };
  }

  writeView(value: Value): View {
    const candidates = this.isCandidates(value) ? 'candidates' : undefined;
    const answer = this.isOutput(value) ? 'output' : candidates;
    const view = this.internal(value.width, value.rows, answer);
    this.#values.set(value.id, view);
    return view;
  }

  internal(width: number, rows: Buffer['rows'], answer?: Buffer['answer']): View {
    return { buffer: { rows, stride: padded(width), answer }, column: 0 };
  }

  alias(value: Value, view: View): void {
    this.#values.set(value.id, view);
  }

  norm({ weight, bias, eps }: NormParameters): Record<string, Argument> {
    return { weight: this.parameter({ weight }), bias: this.parameter({ weight: bias }), eps };
  }

  add(parts: NodeParts): void {
    const { rows, shader, groups, values, writes, matrices = [], state, forCandidates } = parts;
    const written = new Set(writes.flatMap((name) => buffersOf(values[name])));
    const read = Object.values(values).flatMap(buffersOf);
    const candidate = { shader, groups, rowsPerGroup: 1, rowsFirst: false };
    this.drafts.push({
      kind: shader.label,
      rows,
      variants: [{ mostRows: Infinity, shaders: [candidate] }],
      values,
      matrices,
      ...(state === undefined ? {} : { state }),
      ...(forCandidates === undefined ? {} : { forCandidates }),
      reads: read.filter((buffer) => !written.has(buffer)),
      writes: [...written],
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

function buffersOf(argument: Argument): Buffer[] {
  return typeof argument === 'object' && 'view' in argument ? [argument.view.buffer] : [];
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
