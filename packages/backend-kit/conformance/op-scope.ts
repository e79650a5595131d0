/** Builds a program around one op: inputs from tables of known numbers, weights, states, sentinels. */
import type {
  Activation,
  HostWeight,
  NormParameters,
  Op,
  Parameter,
  Program,
  StateSpec,
  Value,
  WeightFormat,
  WeightSpec,
} from '@rwkv-ts/backend';
import { encode, f16ToF32, f32ToF16 } from '@rwkv-ts/formats';
import { type Draw, normal, Random, uniform } from '../src/random.js';

/** Rows of every input table: a batch's token ids choose the rows, so equal ids mean equal inputs. */
export const tableRows = 61;
const sentinelWidth = 37;

export interface OpScopeOptions {
  readonly seed: number;
  /** Puts a sentinel value after every input and after the op, all alive until the end. */
  readonly guarded?: boolean;
  /** How matrices given to `matrix` are stored. */
  readonly format?: WeightFormat;
  /** How vectors are stored; default f32. */
  readonly vectorFormat?: WeightFormat;
}

export class OpScope {
  readonly weights: WeightSpec[] = [];
  readonly states: StateSpec[] = [];
  readonly ops: Op[] = [];
  readonly hostWeights: HostWeight[] = [];
  readonly #sentinels: Value[] = [];
  readonly #options: OpScopeOptions;
  #nextId = 0;

  constructor(options: OpScopeOptions) {
    this.#options = options;
  }

  value(width: number, rows: Value['rows'] = 'T'): Value {
    return { id: this.#nextId++, rows, width };
  }

  emit(op: Op): void {
    this.ops.push(op);
  }

  /**
   * A value [T, width] of random rows. Its numbers are exact in f16, so that a backend with f16 activations is
   * charged for its op and not for its inputs.
   */
  input(width: number, draw: Draw = normal()): Value {
    const value = this.#table(width, (random) => f16ToF32(f32ToF16(draw(random))));
    if (this.#options.guarded) this.#sentinels.push(this.#sentinel());
    return value;
  }

  /** The wanted rows of a new input: a value [R, width]. */
  wantedInput(width: number, draw?: Draw): Value {
    const [x, out] = [this.input(width, draw), this.value(width, 'R')];
    this.emit({ kind: 'select-rows', out, x });
    return out;
  }

  vector(shape: readonly number[], draw: Draw): string {
    return this.#weight(shape, draw, this.#options.vectorFormat ?? 'f32');
  }

  /** A matrix [out, in] of rows of length about 1, in the scope's format. */
  matrix(out: number, inputs: number, draw: Draw = normal(1 / Math.sqrt(inputs))): string {
    return this.#weight([out, inputs], draw, this.#options.format ?? 'f32');
  }

  parameter(shape: readonly number[], draw: Draw, form?: Activation): Parameter {
    const weight = this.vector(shape, draw);
    return form === undefined ? { weight } : { weight, form };
  }

  norm(width: number, { groups = 1, eps = 1e-5 } = {}): NormParameters {
    const weight = this.vector([width], uniform(0.5, 1.5));
    return { weight, bias: this.vector([width], normal(0.3)), groups, eps };
  }

  state(shape: readonly number[], initial: number | readonly number[] = 0): string {
    const name = `state${this.states.length}`;
    this.states.push({ name, shape, initial });
    return name;
  }

  /** The program whose output is `value`, its wanted rows if it has a row per token. */
  program(value: Value): Program {
    const output = value.rows === 'R' ? value : this.value(value.width, 'R');
    const select: Op[] = value.rows === 'R' ? [] : [{ kind: 'select-rows', out: output, x: value }];
    return {
      weights: [...this.weights],
      states: [...this.states],
      ops: [...this.ops, ...select],
      output,
    };
  }

  /**
   * The program whose output is the sum of all sentinels, whole numbers, plus zero times `value`: it comes out exactly
   * unless the op, or an input, wrote beside its own memory. The zero keeps the op alive in a backend that drops
   * what nobody reads. `undefined` when `value` has a row per wanted token.
   */
  guardProgram(value: Value): Program | undefined {
    if (value.rows === 'R') return undefined;
    const zero = this.value(sentinelWidth);
    const weight = this.#weight([sentinelWidth, value.width], () => 0, 'f32');
    const last = this.#sentinel();
    this.emit({ kind: 'matmul', out: zero, x: value, weight });
    let sum = zero;
    for (const sentinel of [...this.#sentinels, last]) {
      const out = this.value(sentinelWidth);
      this.emit({ kind: 'add', out, x: sum, y: sentinel });
      sum = out;
    }
    return this.program(sum);
  }

  #sentinel(): Value {
    return this.#table(sentinelWidth, (random) => 1 + random.integer(60));
  }

  #table(width: number, draw: Draw): Value {
    const out = this.value(width);
    const table = this.#weight([tableRows, width], draw, 'f32');
    this.emit({ kind: 'embed', out, table, by: 'token' });
    return out;
  }

  #weight(shape: readonly number[], draw: Draw, format: WeightFormat): string {
    const name = `weight${this.weights.length}`;
    const count = shape.reduce((total, size) => total * size, 1);
    const values = new Random(this.#options.seed, name).fill(count, draw);
    this.weights.push({ name, shape });
    this.hostWeights.push({ name, shape, format, bytes: encode(format, values) });
    return name;
  }
}
