/** Programs around one op each: its inputs are rows of random tables, its output is what `run` returns. */
import type { Activation, Op, Parameter, PrimitiveKind, Program, Value } from '@rwkv-ts/backend';
import { activations } from '@rwkv-ts/program';

export const tableRows = 40;

/** Collects the ops of a test program. */
export class CaseBuilder {
  readonly weights: Program['weights'][number][] = [];
  readonly states: Program['states'][number][] = [];
  readonly ops: Op[] = [];
  #id = 0;

  value(width: number, rows: Value['rows'] = 'T'): Value {
    return { id: this.#id++, rows, width };
  }
  weight(...shape: number[]): string {
    const name = `weight${this.weights.length}`;
    this.weights.push({ name, shape });
    return name;
  }
  parameter(shape: readonly number[], form?: Activation): Parameter {
    const weight = this.weight(...shape);
    return form ? { weight, form } : { weight };
  }
  state(shape: readonly number[], initial: number | readonly number[] = 0): string {
    const name = `state${this.states.length}`;
    this.states.push({ name, shape, initial });
    return name;
  }
  input(width: number): Value {
    const out = this.value(width);
    this.ops.push({ kind: 'embed', out, table: this.weight(tableRows, width), by: 'token' });
    return out;
  }
  activated(width: number, activation: Activation): Value {
    const x = this.input(width);
    const out = this.value(width);
    this.ops.push({ kind: 'activate', out, x, activation });
    return out;
  }
  /** A unit vector per group. */
  unit(width: number, groups: number): Value {
    const x = this.input(width);
    const out = this.value(width);
    this.ops.push({ kind: 'l2-norm', out, x, groups, eps: 1e-12 });
    return out;
  }
  /** RWKV-7's removal: a = -κ and b = κ ⊙ rate with a unit κ per group and the rate from the activation. */
  removal(
    width: number,
    groups: number,
    rate: Activation,
  ): { readonly a: Value; readonly b: Value } {
    const direction = this.unit(width, groups);
    const strength = this.activated(width, rate);
    const [a, b] = [this.value(width), this.value(width)];
    this.ops.push(
      { kind: 'scale', out: a, x: direction, factor: -1 },
      { kind: 'mul', out: b, x: direction, y: strength },
    );
    return { a, b };
  }
  finish(op: Op & { readonly out: Value }): Program {
    this.ops.push(op);
    let output = op.out;
    if (output.rows === 'T') {
      output = this.value(op.out.width, 'R');
      this.ops.push({ kind: 'select-rows', out: output, x: op.out });
    }
    return { weights: this.weights, states: this.states, ops: this.ops, output };
  }
}

type OpCase = (b: CaseBuilder) => Op & { readonly out: Value };

const wkv6Cases = ([['head'], ['channel'], ['token']] as const).map(([decay]): OpCase => (b) => {
  const shape = decay === 'head' ? [3] : [3, 5];
  return {
    kind: 'wkv6',
    out: b.value(15),
    r: b.input(15),
    k: b.input(15),
    v: b.input(15),
    decay:
      decay === 'token'
        ? b.activated(15, 'exp-negative-exp')
        : b.parameter(shape, 'exp-negative-exp'),
    first: b.parameter(shape),
    heads: 3,
    state: b.state([3, 5, 5]),
  };
});

/** Widths are odd, so that unrolled loops meet their ends. */
export const opCases: { readonly [K in PrimitiveKind]: readonly OpCase[] } = {
  embed: (['token', 'input'] as const).map((by): OpCase => (b) => ({
    kind: 'embed',
    out: b.value(7),
    table: b.weight(tableRows, 7),
    by,
  })),
  'select-rows': [(b) => ({ kind: 'select-rows', out: b.value(7, 'R'), x: b.input(7) })],
  norm: [1, 3].map((groups): OpCase => (b) => ({
    kind: 'norm',
    out: b.value(21),
    x: b.input(21),
    weight: b.weight(21),
    bias: b.weight(21),
    groups,
    eps: 64e-5,
  })),
  'l2-norm': [1e-12, 5].map((eps): OpCase => (b) => ({
    kind: 'l2-norm',
    out: b.value(21),
    x: b.input(21),
    groups: 3,
    eps,
  })),
  shift: [(b) => ({ kind: 'shift', out: b.value(7), x: b.input(7), state: b.state([7], 0.25) })],
  lerp: [
    (b) => ({ kind: 'lerp', out: b.value(7), x: b.input(7), y: b.input(7), by: b.input(7) }),
    (b) => ({ kind: 'lerp', out: b.value(7), x: b.input(7), y: b.input(7), by: b.parameter([7]) }),
  ],
  matmul: [
    [1, 1],
    [7, 5],
    [33, 18],
    [8, 12],
  ].map(([inner = 0, outer = 0]): OpCase => (b) => ({
    kind: 'matmul',
    out: b.value(outer),
    x: b.input(inner),
    weight: b.weight(outer, inner),
  })),
  'row-matmul': [(b) => ({ kind: 'row-matmul', out: b.value(5), x: b.input(3), m: b.input(15) })],
  add: [
    (b) => ({ kind: 'add', out: b.value(7), x: b.input(7), y: b.input(7) }),
    (b) => ({ kind: 'add', out: b.value(7), x: b.input(7), y: b.parameter([7], 'exp') }),
  ],
  mul: [
    (b) => ({ kind: 'mul', out: b.value(7), x: b.input(7), y: b.input(7) }),
    (b) => ({ kind: 'mul', out: b.value(7), x: b.input(7), y: b.parameter([7], 'silu') }),
  ],
  scale: [(b) => ({ kind: 'scale', out: b.value(7), x: b.input(7), factor: -1.5 })],
  activate: activations.map((activation): OpCase => (b) => ({
    kind: 'activate',
    out: b.value(7),
    x: b.input(7),
    activation,
  })),
  slice: [0, 4].map((start): OpCase => (b) => ({
    kind: 'slice',
    out: b.value(5),
    x: b.input(9),
    start,
  })),
  'top-k': [1, 4, 9].map((count): OpCase => (b) => ({
    kind: 'top-k',
    out: b.value(2 * count + 1),
    x: b.input(9),
    count,
  })),
  wkv4: [
    (b) => ({
      kind: 'wkv4',
      out: b.value(7),
      k: b.input(7),
      v: b.input(7),
      decay: b.parameter([7], 'negative-exp'),
      first: b.parameter([7]),
      state: b.state([3, 7], [0, 0, -1e30]),
    }),
  ],
  wkv6: wkv6Cases,
  wkv7: [
    (b) => ({
      kind: 'wkv7',
      out: b.value(15),
      r: b.input(15),
      w: b.activated(15, 'decay7'),
      k: b.input(15),
      v: b.input(15),
      a: b.unit(15, 3),
      b: b.unit(15, 3),
      heads: 3,
      state: b.state([3, 5, 5]),
    }),
    (b) => ({
      kind: 'wkv7',
      out: b.value(15),
      r: b.input(15),
      w: b.activated(15, 'decay7'),
      k: b.input(15),
      v: b.input(15),
      ...b.removal(15, 3, 'sigmoid'),
      heads: 3,
      state: b.state([3, 5, 5]),
    }),
  ],
  bonus7: [
    (b) => ({
      kind: 'bonus7',
      out: b.value(15),
      r: b.input(15),
      k: b.input(15),
      v: b.input(15),
      by: b.parameter([3, 5]),
      heads: 3,
    }),
  ],
};

export const caseEntries = Object.entries(opCases).flatMap(([kind, cases]) =>
  cases.map((build, index) => ({ title: `${kind} ${index + 1}`, kind, build })),
);
