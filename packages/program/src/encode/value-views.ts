import type { Activation, Operand, Parameter, Program, Value } from '@rwkv-ts/backend';
import { isValue } from '../access.js';
import type { Access } from './phases.js';

/** Columns of a buffer from `column` on. */
export interface View<Buffer> {
  readonly buffer: Buffer;
  readonly column: number;
}

/** A weight's numbers with its form applied, each repeated `repeat` times. */
export interface BoundParameter {
  readonly weight: string;
  readonly form: Activation | undefined;
  readonly repeat: number;
}

/** Rows that `run` gives out. */
export type Answer = 'output' | 'candidates';

export interface ValueViewsOptions<Buffer> {
  /** The numbers of a weight. */
  readonly countOf: (weight: string) => number;
  /** A buffer of its own for a value. */
  readonly create: (value: Value, answer: Answer | undefined) => Buffer;
}

/** Where each value of a program is found: in a buffer of its own, or in another's columns, because a slice is only that. */
export class ValueViews<Buffer> {
  readonly #values = new Map<number, View<Buffer>>();
  readonly #answers: ReadonlyMap<number | undefined, Answer>;
  readonly #options: ValueViewsOptions<Buffer>;

  constructor({ output, candidates }: Program, options: ValueViewsOptions<Buffer>) {
    this.#answers = new Map<number | undefined, Answer>([
      [candidates?.id, 'candidates'],
      [output.id, 'output'],
    ]);
    this.#options = options;
  }

  /** What of the answer the value is. */
  answer({ id }: Value): Answer | undefined {
    return this.#answers.get(id);
  }

  /** The view of a value that an earlier op wrote. */
  view(value: Value): View<Buffer> {
    const view = this.#values.get(value.id);
    if (!view) throw new Error(`Value ${value.id} is read before it is written.`);
    return view;
  }

  /** As an argument. */
  read(value: Value): { readonly view: View<Buffer> } {
    return { view: this.view(value) };
  }

  /** A value read, or a parameter that every row shares. */
  operand(
    operand: Operand,
  ): { readonly view: View<Buffer> } | { readonly parameter: BoundParameter } {
    return isValue(operand) ? this.read(operand) : this.parameter(operand);
  }

  /** A parameter of `count` numbers; one stored with fewer has each repeated. */
  bound({ weight, form }: Parameter, count?: number): BoundParameter {
    const repeat = count === undefined ? 1 : count / this.#options.countOf(weight);
    return { weight, form, repeat };
  }

  parameter(parameter: Parameter, count?: number): { readonly parameter: BoundParameter } {
    return { parameter: this.bound(parameter, count) };
  }

  writeView(value: Value): View<Buffer> {
    return this.alias(value, {
      buffer: this.#options.create(value, this.answer(value)),
      column: 0,
    });
  }

  /** A new buffer for the value. */
  write(value: Value): { readonly view: View<Buffer> } {
    return { view: this.writeView(value) };
  }

  /** The value is found there. */
  alias(value: Value, view: View<Buffer>): View<Buffer> {
    this.#values.set(value.id, view);
    return view;
  }
}

/** An argument of a node, as far as it matters for what the node touches. */
type Argument<Buffer> =
  number | undefined | { readonly view?: View<Buffer>; readonly [other: string]: unknown };

/** What a node touches: of the buffers it mentions, those it writes, and the rest, which it reads. */
export function accessOf<Buffer>(
  mentioned: readonly Argument<Buffer>[],
  written: readonly Argument<Buffer>[],
): Access<Buffer> {
  const writes = new Set(buffersOf(written));
  return { reads: buffersOf(mentioned).filter((each) => !writes.has(each)), writes: [...writes] };
}

function buffersOf<Buffer>(all: readonly Argument<Buffer>[]): Buffer[] {
  return all.flatMap((one) => (typeof one === 'object' && one.view ? [one.view.buffer] : []));
}
