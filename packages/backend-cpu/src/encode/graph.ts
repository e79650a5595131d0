/** A program as the native operations it becomes: nodes that read and write buffers. */
import {
  type Activation,
  type NormParameters,
  type Operand,
  type Parameter,
  type Program,
  type Value,
} from '@rwkv-ts/backend';
import { isValue } from '@rwkv-ts/program';
import { activations, type OperationName } from '../native.js';

/** Rows of activations: one per token, wanted token or sequence. Written by one node. */
export interface Buffer {
  readonly rows: 'T' | 'R' | 'S';
  readonly width: number;
  /** `output`, `candidates`: rows that the caller of `run` gets. */
  readonly place: 'arena' | 'output' | 'candidates';
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

/** What an operation's argument is: a number, rows, a parameter, a weight or a state by name, or nothing. */
export type Field =
  | number
  | { readonly view: View }
  | { readonly parameter: BoundParameter }
  | { readonly matrix: string }
  | { readonly state: string }
  | undefined;

export interface Node {
  readonly operation: OperationName;
  /** What the operation has a row for, where it has rows. */
  readonly rows: 'T' | 'R';
  readonly fields: readonly Field[];
  readonly reads: readonly Buffer[];
  readonly writes: readonly Buffer[];
}

export const activationCode = (activation: Activation | undefined): number =>
  activations.indexOf(activation);

/** Collects nodes; a value of the program is a view, because a slice is only that. */
export class Graph {
  readonly nodes: Node[] = [];
  readonly #values = new Map<number, View>();
  readonly #output: number;
  readonly #candidates: number | undefined;
  readonly #shapes: ReadonlyMap<string, readonly number[]>;

  constructor(program: Program) {
    this.#output = program.output.id;
    this.#candidates = program.candidates?.id;
    this.#shapes = new Map(program.weights.map(({ name, shape }) => [name, shape]));
  }

  isOutput(value: Value): boolean {
    return value.id === this.#output;
  }

  /** The view of a value that an earlier node wrote. */
  view(value: Value): View {
    const view = this.#values.get(value.id);
    if (!view) throw new Error(`Value ${value.id} is read before it is written.`);
    return view;
  }

  read(value: Value): Field {
    return { view: this.view(value) };
  }

  /** A value read, or a parameter that every row shares. */
  operand(operand: Operand): Field {
    return isValue(operand) ? this.read(operand) : this.parameter(operand);
  }

  /** A parameter of `count` numbers; one stored with fewer has each repeated. */
  parameter({ weight, form }: Parameter, count?: number): Field {
    const stored = this.#shapes.get(weight)?.reduce((total, size) => total * size, 1) ?? 0;
    return { parameter: { weight, form, repeat: count === undefined ? 1 : count / stored } };
  }

  /** Rows of a matrix. */
  rowsOf(weight: string): number {
    return this.#shapes.get(weight)?.[0] ?? 0;
  }

  /** A new buffer for the value. */
  write(value: Value): Field {
    const place = value.id === this.#candidates ? 'candidates' : 'arena';
    const buffer = this.buffer(value.width, value.rows, this.isOutput(value) ? 'output' : place);
    return { view: this.alias(value, { buffer, column: 0 }) };
  }

  buffer(width: number, rows: Buffer['rows'], place: Buffer['place'] = 'arena'): Buffer {
    return { rows, width, place };
  }

  alias(value: Value, view: View): View {
    this.#values.set(value.id, view);
    return view;
  }

  /** The weight, bias, groups and epsilon of a norm, or their absence. */
  norm(norm: NormParameters | undefined): Field[] {
    if (!norm) return [undefined, undefined, 1, 0];
    const [weight, bias] = [{ weight: norm.weight }, { weight: norm.bias }];
    return [this.parameter(weight), this.parameter(bias), norm.groups, norm.eps];
  }

  /** Adds a node; what it writes is told by name, everything else it mentions it reads. */
  add(
    operation: OperationName,
    rows: 'T' | 'R',
    { fields, writes }: { fields: readonly Field[]; writes: readonly Field[] },
  ): void {
    const written = new Set(writes.flatMap(buffersOf));
    const mentioned = fields.flatMap(buffersOf);
    this.nodes.push({
      operation,
      rows,
      fields,
      reads: mentioned.filter((buffer) => !written.has(buffer)),
      writes: [...written],
    });
  }
}

function buffersOf(field: Field): Buffer[] {
  return typeof field === 'object' && 'view' in field ? [field.view.buffer] : [];
}
