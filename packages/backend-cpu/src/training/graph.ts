/** A program and its backward pass as drafts of instructions over buffers. */
import type { Activation, Operand, Parameter, Program, StateSpec, Value } from '@rwkv-ts/backend';
import { type GradientUse, isValue } from '@rwkv-ts/program';
import { activationCode } from '../encode/graph.js';
import type { Extent, InstructionName, ProgramPart, UnitKind } from './native-training.js';

/** Rows of activations, gradients or sums. */
export interface Buffer {
  readonly extent: Extent;
  readonly width: number;
}

/** Where an argument lies. */
export type Argument =
  | undefined
  | { readonly buffer: Buffer; readonly column: number; readonly width: number }
  | { readonly weight: string; readonly count: number }
  | { readonly gradient: string; readonly count: number }
  | { readonly state: string; readonly count: number }
  | { readonly stateGradient: string; readonly count: number };

/** What instructions wait for each other about: a buffer, a weight's gradient, a state, or its gradient. */
export type Resource = Buffer | string;

export interface Draft {
  readonly code: InstructionName;
  readonly part: ProgramPart;
  readonly units: UnitKind;
  readonly wanted: boolean;
  readonly arguments: readonly Argument[];
  readonly numbers: readonly number[];
  readonly reads: readonly Resource[];
  readonly writes: readonly Resource[];
  /** Of what it reads: rows other than those that it writes, so that all must be there. */
  readonly crossing: ReadonlySet<Resource>;
  /** About how long a row takes on one thread. */
  readonly nanoseconds: number;
}

export interface DraftOptions {
  readonly units?: UnitKind;
  readonly rows?: 'T' | 'R';
  /** `undefined` stands for an argument that is not there. */
  readonly reads?: readonly Argument[];
  readonly writes?: readonly Argument[];
  readonly crossing?: readonly Argument[];
  /** All, in the order that native/training/fits.cc has them. */
  readonly arguments: readonly Argument[];
  readonly numbers: readonly number[];
  readonly nanoseconds: number;
}

const extentOf = { T: 'tokens', R: 'wanted' } as const;
const blocksOf = { T: 'token-blocks', R: 'wanted-blocks' } as const;

/** A gradient to write, and whether to add to what is there. */
export interface GradientTarget {
  readonly argument: Argument;
  readonly add: 0 | 1;
}

/** Collects drafts, and knows where values and their gradients are. */
export class TrainingGraph {
  readonly drafts: Draft[] = [];
  /** Of the drafts to come. */
  part: ProgramPart = 'forward';
  readonly #values = new Map<number, { readonly buffer: Buffer; readonly column: number }>();
  readonly #gradients = new Map<number, Buffer>();
  readonly #parameters = new Map<string, Argument>();
  readonly #records = new Map<string, Buffer>();
  readonly #counts: ReadonlyMap<string, number>;
  readonly #states: ReadonlyMap<string, StateSpec>;

  constructor(program: Program) {
    this.#counts = new Map(program.weights.map(({ name, shape }) => [name, countOf(shape)]));
    this.#states = new Map(program.states.map((spec) => [spec.name, spec]));
  }

  read(value: Value): Argument {
    const view = this.#values.get(value.id);
    if (!view) throw new Error(`Value ${value.id} is read before it is written.`);
    return { ...view, width: value.width };
  }

  /** Columns of a value. */
  columns(value: Value, start: number, width: number): Argument {
    const { buffer, column } = this.#values.get(value.id)!;
    return { buffer, column: column + start, width };
  }

  /** A new buffer for the value. */
  write({ id, rows, width }: Value): Argument {
    const view = { buffer: { extent: extentOf[rows], width }, column: 0 };
    this.#values.set(id, view);
    return { ...view, width };
  }

  /** The value is those columns of another. */
  alias(value: Value, of: Value, column: number): void {
    const view = this.#values.get(of.id)!;
    this.#values.set(value.id, { buffer: view.buffer, column: view.column + column });
  }

  /** The gradient of a value, where its step says that it is there. */
  given(value: Value, isThere: boolean | undefined): Argument {
    return isThere ? this.#gradient(value) : undefined;
  }

  target(value: Value, use: GradientUse | undefined): GradientTarget {
    if (use === undefined || use === 'skip') return { argument: undefined, add: 0 };
    return { argument: this.#gradient(value), add: use === 'add' ? 1 : 0 };
  }

  /** The gradient of the value takes the place of the value itself. */
  replace(value: Value): void {
    this.#gradients.set(value.id, this.#values.get(value.id)!.buffer);
  }

  #gradient({ id, rows, width }: Value): Argument {
    let buffer = this.#gradients.get(id);
    if (!buffer) this.#gradients.set(id, (buffer = { extent: extentOf[rows], width }));
    return { buffer, column: 0, width };
  }

  buffer(extent: Extent, width: number): Argument {
    return { buffer: { extent, width }, column: 0, width };
  }

  /** Sums over blocks of rows, one row for each. */
  sums(rows: 'T' | 'R', width: number): Argument {
    return this.buffer(blocksOf[rows], width);
  }

  /** Memory that the forward pass of an op leaves for its backward pass. */
  record(state: string, numbers: number): Argument {
    let buffer = this.#records.get(state);
    if (!buffer) this.#records.set(state, (buffer = { extent: 'records', width: numbers }));
    return { buffer, column: 0, width: buffer.width };
  }

  countOf(weight: string): number {
    return this.#counts.get(weight) ?? 0;
  }

  weight(name: string): Argument {
    return { weight: name, count: this.countOf(name) };
  }

  weightGradient(name: string): Argument {
    return { gradient: name, count: this.countOf(name) };
  }

  state(name: string): Argument {
    return { state: name, count: countOf(this.#states.get(name)!.shape) };
  }

  stateGradient(name: string): Argument {
    return { stateGradient: name, count: countOf(this.#states.get(name)!.shape) };
  }

  /** A value, or a parameter of `count` numbers that all rows share, as rows see it. */
  operand(operand: Operand, count: number): Argument {
    return isValue(operand) ? this.read(operand) : this.parameter(operand, count);
  }

  parameter({ weight, form }: Parameter, count: number): Argument {
    const repeat = count / this.countOf(weight);
    if (form === undefined && repeat === 1) return this.weight(weight);
    const key = JSON.stringify([weight, form, repeat]);
    let made = this.#parameters.get(key);
    if (!made) {
      made = this.buffer('one', count);
      this.#parameters.set(key, made);
      const { part } = this;
      this.part = 'forward';
      this.add('parameter', {
        units: 'one',
        reads: [this.weight(weight)],
        writes: [made],
        arguments: [this.weight(weight), made],
        numbers: [this.countOf(weight), repeat, activationCode(form)],
        nanoseconds: 1,
      });
      this.part = part;
    }
    return made;
  }

  /** Adds to a parameter's gradient what its sums over rows come to. */
  addParameterGradient(
    { weight, form }: { readonly weight: string; readonly form?: Activation | undefined },
    { sums, rows, count }: { sums: Argument; rows: 'T' | 'R'; count: number },
  ): void {
    const own = this.countOf(weight);
    const gradient = this.weightGradient(weight);
    this.add('parameter-backward', {
      units: 'column-blocks',
      rows,
      reads: [sums],
      writes: [gradient],
      arguments: [sums, this.weight(weight), gradient],
      numbers: [own, count / own, activationCode(form)],
      nanoseconds: count / 50,
    });
  }

  add(code: InstructionName, options: DraftOptions): void {
    const { units = 'row-blocks', rows = 'T', reads = [], writes = [], crossing = [] } = options;
    this.drafts.push({
      code,
      part: this.part,
      units,
      wanted: rows === 'R',
      arguments: options.arguments,
      numbers: options.numbers,
      reads: resourcesOf([...reads, ...crossing]),
      writes: resourcesOf(writes),
      crossing: new Set(resourcesOf(crossing)),
      nanoseconds: options.nanoseconds,
    });
  }
}

/** Weights never change within a run, so nobody waits for them. */
function resourcesOf(all: readonly Argument[]): Resource[] {
  return all.flatMap((one): Resource[] => {
    if (one === undefined || 'weight' in one) return [];
    if ('buffer' in one) return [one.buffer];
    if ('gradient' in one) return [`gradient of ${one.gradient}`];
    if ('state' in one) return [`state ${one.state}`];
    return [`state gradient of ${one.stateGradient}`];
  });
}

export const countOf = (shape: readonly number[]): number =>
  shape.reduce((total, size) => total * size, 1);
