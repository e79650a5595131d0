/** Collects ops, and with them the weights and states they name, in the order of first use. */
import type {
  Activation,
  NormParameters,
  Op,
  Operand,
  Parameter,
  Program,
  StateSpec,
  Value,
  WeightSpec,
} from '@rwkv-ts/backend';

export class ProgramBuilder {
  readonly #weights: WeightSpec[] = [];
  readonly #states: StateSpec[] = [];
  readonly #ops: Op[] = [];
  #nextId = 0;

  value(width: number, rows: 'T' | 'R' = 'T'): Value {
    return { id: this.#nextId++, rows, width };
  }

  weight(name: string, ...shape: number[]): string {
    this.#weights.push({ name, shape });
    return name;
  }

  parameter(name: string, shape: readonly number[], form?: Activation): Parameter {
    const weight = this.weight(name, ...shape);
    return form === undefined ? { weight } : { weight, form };
  }

  state(name: string, shape: readonly number[], initial: number | readonly number[] = 0): string {
    this.#states.push({ name, shape, initial });
    return name;
  }

  /** `name.weight` and `name.bias`, both [channels]. */
  norm(
    name: string,
    channels: number,
    { groups = 1, eps }: { groups?: number; eps: number },
  ): NormParameters {
    return {
      weight: this.weight(`${name}.weight`, channels),
      bias: this.weight(`${name}.bias`, channels),
      groups,
      eps,
    };
  }

  emit(op: Op): void {
    this.#ops.push(op);
  }

  /** x Wᵀ with a matrix [width, x.width]. */
  matmul(x: Value, weight: string, width: number): Value {
    const out = this.value(width, x.rows);
    this.emit({ kind: 'matmul', out, x, weight: this.weight(weight, width, x.width) });
    return out;
  }

  /** activation(x Wᵀ), gated and added to a residual where given. */
  linear(
    x: Value,
    {
      weight,
      width,
      ...rest
    }: { weight: string; width: number; activation?: Activation; gate?: Value; residual?: Value },
  ): Value {
    const out = this.value(width, x.rows);
    this.emit({ kind: 'linear', out, x, weight: this.weight(weight, width, x.width), ...rest });
    return out;
  }

  mul(x: Value, y: Operand): Value {
    const out = this.value(x.width, x.rows);
    this.emit({ kind: 'mul', out, x, y });
    return out;
  }

  finish(output: Value): Program {
    return { weights: this.#weights, states: this.#states, ops: this.#ops, output };
  }
}
