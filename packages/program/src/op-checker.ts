import {
  BackendError,
  type Op,
  type Operand,
  type Parameter,
  type StateSpec,
  type Value,
  type WeightSpec,
} from '@rwkv-ts/backend';
import { isValue } from './access.js';
import { activations } from './activations.js';

/** Sizes by name; `null` matches any size. */
type ShapePattern = readonly (number | null)[];

const show = (shape: ShapePattern): string => `[${shape.map((size) => size ?? '_').join(', ')}]`;

/** The checks that shape rules are made of, for one op; each failure names the op, what was expected and what came. */
export class OpChecker {
  readonly #index: number;
  readonly #op: Op;
  readonly #weights: ReadonlyMap<string, WeightSpec>;
  readonly #states: ReadonlyMap<string, StateSpec>;

  constructor(options: {
    index: number;
    op: Op;
    weights: ReadonlyMap<string, WeightSpec>;
    states: ReadonlyMap<string, StateSpec>;
  }) {
    this.#index = options.index;
    this.#op = options.op;
    this.#weights = options.weights;
    this.#states = options.states;
  }

  fail(what: string, expected: unknown, got: unknown, cause?: unknown): never {
    throw new BackendError({
      code: 'PROGRAM_INVALID',
      message: `Op ${this.#index} (${this.#op.kind}): ${what} must be ${String(expected)}, got ${String(got)}.`,
      expected,
      got,
      cause,
    });
  }

  equal(what: string, expected: number | string, got: number | string): void {
    if (expected !== got) this.fail(what, expected, got);
  }

  wellFormed({ id, rows, width }: Value): void {
    this.integer('value id', id, { minimum: 0 });
    this.integer(`width of value ${id}`, width, { minimum: 1 });
    this.oneOf(`rows of value ${id}`, rows, ['T', 'R']);
  }

  /** `value` is read as it was assigned. */
  assigned(value: Value, source: Value | undefined): void {
    this.wellFormed(value);
    if (!source) this.fail(`value ${value.id}`, 'assigned before it is read', 'not assigned');
    const [expected, got] = [source, value].map(({ rows, width }) => `[${rows}, ${width}]`);
    this.equal(`shape of value ${value.id}`, expected ?? '', got ?? '');
  }

  rows(expected: Value['rows'], ...values: readonly Value[]): void {
    for (const { id, rows } of values) this.equal(`rows of value ${id}`, expected, rows);
  }

  width(expected: number, ...values: readonly Value[]): void {
    for (const { id, width } of values) this.equal(`width of value ${id}`, expected, width);
  }

  /** Same rows and width as `model`. */
  like(model: Value, ...values: readonly Value[]): void {
    this.rows(model.rows, ...values);
    this.width(model.width, ...values);
  }

  /** The sizes of the weight, which must fit one of the patterns. */
  weight(name: string, ...patterns: readonly ShapePattern[]): readonly number[] {
    const spec = this.#weights.get(name);
    if (!spec) this.fail('every weight', 'listed by the program', `the unlisted ${name}`);
    if (!patterns.some((pattern) => fits(spec.shape, pattern))) {
      this.fail(`shape of weight ${name}`, patterns.map(show).join(' or '), show(spec.shape));
    }
    return spec.shape;
  }

  parameter({ weight, form }: Parameter, ...patterns: readonly ShapePattern[]): void {
    this.weight(weight, ...patterns);
    if (form !== undefined) this.oneOf(`form of parameter ${weight}`, form, activations);
  }

  /** A value like `model`, or a parameter as wide. */
  operand(operand: Operand, model: Value): void {
    if (isValue(operand)) this.like(model, operand);
    else this.parameter(operand, [model.width]);
  }

  state(name: string, shape: readonly number[]): void {
    const spec = this.#states.get(name);
    if (!spec) this.fail('every state', 'listed by the program', `the unlisted ${name}`);
    if (!fits(spec.shape, shape)) {
      this.fail(`shape of state ${name}`, show(shape), show(spec.shape));
    }
  }

  /** The size of one of `parts` equal parts of `width`. */
  divide(what: string, width: number, parts: number): number {
    this.integer(what, parts, { minimum: 1 });
    if (width % parts !== 0) this.fail(what, `a divisor of ${width}`, parts);
    return width / parts;
  }

  integer(what: string, value: number, { minimum }: { minimum: number }): void {
    if (!Number.isSafeInteger(value) || value < minimum) {
      this.fail(what, `an integer from ${minimum}`, value);
    }
  }

  epsilon(value: number): void {
    if (!(Number.isFinite(value) && value >= 0)) this.fail('eps', 'finite and not negative', value);
  }

  oneOf(what: string, value: string, choices: readonly string[]): void {
    if (!choices.includes(value)) this.fail(what, `one of ${choices.join(', ')}`, value);
  }
}

function fits(shape: readonly number[], pattern: ShapePattern): boolean {
  return (
    shape.length === pattern.length &&
    pattern.every((size, axis) => size === null || size === shape[axis])
  );
}
