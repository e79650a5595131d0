/** A program as the native operations it becomes: nodes that read and write buffers. */
import type { Activation, NormParameters, Program } from '@rwkv-ts/backend';
import {
  type Access,
  accessOf,
  type Answer,
  type BoundParameter,
  ValueViews,
  type View,
} from '@rwkv-ts/program';
import { activations, type OperationName } from '../native.js';

/** Rows of activations: one per token, wanted token or sequence. Written by one node. */
export interface Buffer {
  readonly rows: 'T' | 'R' | 'S';
  readonly width: number;
  /** `output`, `candidates`: rows that the caller of `run` gets. */
  readonly place: 'arena' | Answer;
}

/** What an operation's argument is: a number, rows, a parameter, a weight or a state by name, or nothing. */
export type Field =
  | number
  | { readonly view: View<Buffer> }
  | { readonly parameter: BoundParameter }
  | { readonly matrix: string }
  | { readonly state: string }
  | undefined;

export interface Node extends Access<Buffer> {
  readonly operation: OperationName;
  /** What the operation has a row for, where it has rows. */
  readonly rows: 'T' | 'R';
  readonly fields: readonly Field[];
}

export const activationCode = (activation: Activation | undefined): number =>
  activations.indexOf(activation);

/** Collects nodes. */
export class Graph extends ValueViews<Buffer> {
  readonly nodes: Node[] = [];
  readonly #shapes: ReadonlyMap<string, readonly number[]>;

  constructor(program: Program) {
    const shapes = new Map(program.weights.map(({ name, shape }) => [name, shape]));
    super(program, {
      countOf: (weight) => shapes.get(weight)?.reduce((total, size) => total * size, 1) ?? 0,
      create: ({ width, rows }, answer) => ({ width, rows, place: answer ?? 'arena' }),
    });
    this.#shapes = shapes;
  }

  /** Rows of a matrix. */
  rowsOf(weight: string): number {
    return this.#shapes.get(weight)?.[0] ?? 0;
  }

  buffer(width: number, rows: Buffer['rows']): Buffer {
    return { rows, width, place: 'arena' };
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
    this.nodes.push({ operation, rows, fields, ...accessOf(fields, writes) });
  }
}
