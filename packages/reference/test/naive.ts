/**
 * A second, independent reading of the contract's formulas for every op kind, coarse ones included: one token at a time,
 * plain arrays, nothing shared with the code under test.
 */
import type {
  Activation,
  NormParameters,
  Op,
  OpKind,
  OpOf,
  Operand,
  Parameter,
  Program,
  Value,
} from '@rwkv-ts/backend';
import type { NamedWeights } from './random.js';

type Vector = number[];

const functions: { readonly [A in Activation]: (x: number) => number } = {
  tanh: (x) => 1 - 2 / (Math.exp(2 * x) + 1),
  sigmoid: (x) => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x))),
  silu: (x) => x / (1 + Math.exp(-x)),
  relu2: (x) => (x > 0 ? x * x : 0),
  exp: (x) => Math.E ** x,
  'negative-exp': (x) => -(Math.E ** x),
  'exp-negative-exp': (x) => Math.E ** -(Math.E ** x),
  // The form training code uses: exp(-exp(-softplus(-x) - 1/2)).
  decay7: (x) => Math.exp(-Math.exp(-Math.log1p(Math.exp(-x)) - 0.5)),
};

const dot = (x: Vector, y: Vector): number => x.reduce((sum, number, i) => sum + number * y[i]!, 0);
const zip = (x: Vector, y: Vector, f: (a: number, b: number) => number): Vector =>
  x.map((number, i) => f(number, y[i]!));
const parts = (x: Vector, count: number): Vector[] =>
  Array.from({ length: count }, (_, i) =>
    x.slice((i * x.length) / count, ((i + 1) * x.length) / count),
  );

class Token {
  readonly program: Program;
  readonly weights: NamedWeights;
  readonly states: Map<string, Vector>;
  readonly token: number;
  readonly values = new Map<number, Vector>();

  constructor(options: {
    program: Program;
    weights: NamedWeights;
    states: Map<string, Vector>;
    token: number;
  }) {
    this.program = options.program;
    this.weights = options.weights;
    this.states = options.states;
    this.token = options.token;
  }

  get(value: Value): Vector {
    return this.values.get(value.id)!;
  }
  set(value: Value, x: Vector): void {
    if (x.length !== value.width) throw new Error(`${x.length} numbers for width ${value.width}`);
    this.values.set(value.id, x);
  }
  stored(name: string): Vector {
    return [...this.weights.get(name)!];
  }
  parameter({ weight, form }: Parameter): Vector {
    return form ? this.stored(weight).map(functions[form]) : this.stored(weight);
  }
  operand(operand: Operand): Vector {
    return 'id' in operand ? this.get(operand) : this.parameter(operand);
  }
  matmul(x: Vector, name: string): Vector {
    const weight = this.stored(name);
    return parts(weight, weight.length / x.length).map((row) => dot(row, x));
  }
  norm(x: Vector, { weight, bias, groups, eps }: NormParameters): Vector {
    const normalised = parts(x, groups).flatMap((part) => {
      const mean = part.reduce((sum, number) => sum + number, 0) / part.length;
      const variance = part.reduce((sum, number) => sum + (number - mean) ** 2, 0) / part.length;
      return part.map((number) => (number - mean) / Math.sqrt(variance + eps));
    });
    return zip(
      zip(normalised, this.stored(weight), (a, b) => a * b),
      this.stored(bias),
      (a, b) => a + b,
    );
  }
  shift(x: Vector, state: string): Vector {
    const previous = this.states.get(state)!;
    this.states.set(state, x);
    return previous;
  }
  /** [H] or [H, N] as H vectors of N. */
  heads(x: Vector, heads: number, channels: number): Vector[] {
    const spread =
      x.length === channels ? x : x.flatMap((u) => Array<number>(channels / heads).fill(u));
    return parts(spread, heads);
  }
  wkv6({ out, r, k, v, decay, first, heads, state }: Omit<OpOf<'wkv6'>, 'kind'>): Vector {
    const split = (x: Vector): Vector[] => this.heads(x, heads, out.width);
    const [rs, ks, vs] = [r, k, v].map((value) => split(this.get(value)));
    const [ws, us] = [this.operand(decay), this.parameter(first)].map(split);
    const y: Vector[] = [];
    const next: Vector[] = [];
    for (const [h, old] of parts(this.states.get(state)!, heads).entries()) {
      const rows = parts(old, out.width / heads);
      const outer = ks![h]!.map((ki) => vs![h]!.map((vj) => ki * vj));
      const seen = rows.map((row, i) => zip(row, outer[i]!, (s, kv) => s + us![h]![i]! * kv));
      y.push(
        vs![h]!.map((_, j) =>
          dot(
            rs![h]!,
            seen.map((row) => row[j]!),
          ),
        ),
      );
      next.push(rows.flatMap((row, i) => zip(row, outer[i]!, (s, kv) => ws![h]![i]! * s + kv)));
    }
    this.states.set(state, next.flat());
    return y.flat();
  }
  /** S ← S (diag(w) + a bᵀ) + v kᵀ with the transition written out as a matrix. */
  wkv7({ out, heads, state, ...op }: Omit<OpOf<'wkv7'>, 'kind'>): Vector {
    const n = out.width / heads;
    const head = (value: Value, h: number): Vector => parts(this.get(value), heads)[h]!;
    const y: Vector[] = [];
    const next: Vector[] = [];
    for (const [h, old] of parts(this.states.get(state)!, heads).entries()) {
      const [r, w, k, v, a, b] = [op.r, op.w, op.k, op.v, op.a, op.b].map((value) =>
        head(value, h),
      );
      const transition = Array.from({ length: n }, (_, i) =>
        Array.from({ length: n }, (_, j) => (i === j ? w![i]! : 0) + a![i]! * b![j]!),
      );
      const matrix = parts(old, n).map((row, i) =>
        row.map(
          (_, j) =>
            dot(
              row,
              transition.map((line) => line[j]!),
            ) +
            v![i]! * k![j]!,
        ),
      );
      y.push(matrix.map((row) => dot(row, r!)));
      next.push(matrix.flat());
    }
    this.states.set(state, next.flat());
    return y.flat();
  }
  bonus7({ r, k, v, by, heads }: Omit<OpOf<'bonus7'>, 'kind' | 'out'>): Vector {
    const [rs, ks, vs] = [r, k, v].map((value) => parts(this.get(value), heads));
    return parts(this.parameter(by), heads).flatMap((weights, h) => {
      const factor = rs![h]!.reduce(
        (sum, number, i) => sum + number * ks![h]![i]! * weights[i]!,
        0,
      );
      return vs![h]!.map((number) => factor * number);
    });
  }
}

const add = (x: Vector, y: Vector): Vector => zip(x, y, (a, b) => a + b);
const mul = (x: Vector, y: Vector): Vector => zip(x, y, (a, b) => a * b);
const towards = (x: Vector, y: Vector, by: Vector): Vector =>
  x.map((a, i) => a + (y[i]! - a) * by[i]!);
const l2 = (x: Vector, groups: number, eps: number): Vector =>
  parts(x, groups).flatMap((part) => {
    const length = Math.max(Math.hypot(...part), eps);
    return part.map((number) => number / length);
  });

const table: { readonly [K in OpKind]: (op: OpOf<K>, at: Token) => void } = {
  embed: (op, at) => {
    const { width } = op.out;
    at.set(op.out, at.stored(op.table).slice(at.token * width, (at.token + 1) * width));
  },
  'select-rows': (op, at) => {
    at.set(op.out, at.get(op.x));
  },
  norm: (op, at) => {
    at.set(op.out, at.norm(at.get(op.x), op));
  },
  'l2-norm': (op, at) => {
    at.set(op.out, l2(at.get(op.x), op.groups, op.eps));
  },
  shift: (op, at) => {
    at.set(op.out, at.shift(at.get(op.x), op.state));
  },
  lerp: (op, at) => {
    at.set(op.out, towards(at.get(op.x), at.get(op.y), at.operand(op.by)));
  },
  matmul: (op, at) => {
    at.set(op.out, at.matmul(at.get(op.x), op.weight));
  },
  'row-matmul': (op, at) => {
    const [x, m] = [at.get(op.x), at.get(op.m)];
    const columns = op.out.width;
    const column = (b: number): Vector => m.filter((_, index) => index % columns === b);
    at.set(
      op.out,
      Array.from({ length: columns }, (_, b) => dot(x, column(b))),
    );
  },
  add: (op, at) => {
    at.set(op.out, add(at.get(op.x), at.operand(op.y)));
  },
  mul: (op, at) => {
    at.set(op.out, mul(at.get(op.x), at.operand(op.y)));
  },
  scale: (op, at) => {
    at.set(
      op.out,
      at.get(op.x).map((number) => op.factor * number),
    );
  },
  activate: (op, at) => {
    at.set(op.out, at.get(op.x).map(functions[op.activation]));
  },
  slice: (op, at) => {
    at.set(op.out, at.get(op.x).slice(op.start, op.start + op.out.width));
  },
  'top-k': (op, at) => {
    const x = at.get(op.x);
    const order = [...x.keys()].sort((a, b) => x[b]! - x[a]! || a - b).slice(0, op.count);
    const numbers = order.map((column) => x[column]!);
    const sum = x.reduce((total, number) => total + Math.exp(number - numbers[0]!), 0);
    at.set(op.out, [...numbers, ...order, sum]);
  },
  wkv4: (op, at) => {
    const [k, v, d, u] = [
      at.get(op.k),
      at.get(op.v),
      at.parameter(op.decay),
      at.parameter(op.first),
    ];
    const [a, b, p] = parts(at.states.get(op.state)!, 3);
    // Without the running maximum: exact while nothing overflows. The state is scaled back to it.
    const weight = (i: number): number => Math.exp(p![i]!);
    const sum = (i: number, x: number, now: number): number => x * weight(i) + now;
    at.set(
      op.out,
      k.map((key, i) => {
        const now = Math.exp(u[i]! + key);
        return sum(i, a![i]!, now * v[i]!) / sum(i, b![i]!, now);
      }),
    );
    const top = k.map((key, i) => Math.max(p![i]! + d[i]!, key));
    const scaled = (x: Vector, now: (i: number) => number): Vector =>
      x.map((number, i) => (number * weight(i) * Math.exp(d[i]!) + now(i)) / Math.exp(top[i]!));
    const nextA = scaled(a!, (i) => Math.exp(k[i]!) * v[i]!);
    const nextB = scaled(b!, (i) => Math.exp(k[i]!));
    at.states.set(op.state, [...nextA, ...nextB, ...top]);
  },
  wkv6: (op, at) => {
    at.set(op.out, at.wkv6(op));
  },
  wkv7: (op, at) => {
    at.set(op.out, at.wkv7(op));
  },
  bonus7: (op, at) => {
    at.set(op.out, at.bonus7(op));
  },
  'shift-mix': (op, at) => {
    const x = at.norm(at.get(op.x), op.norm);
    const previous = at.shift(x, op.state);
    for (const { out, by } of op.mixes) {
      const m = at.parameter(by);
      // v4 and v5 as the official code has it: x m + x' (1 - m).
      const current = x.map((number, i) => number * m[i]! + previous[i]! * (1 - m[i]!));
      at.set(out, op.toward === 'current' ? current : towards(x, previous, m));
    }
    if (op.normed) at.set(op.normed, x);
    if (op.shifted) at.set(op.shifted, previous);
  },
  'shift-mix6': (op, at) => {
    const x = at.norm(at.get(op.x), op.norm);
    const previous = at.shift(x, op.state);
    const z = at.matmul(towards(x, previous, at.parameter(op.base)), op.down).map(functions.tanh);
    for (const [i, { out, by, up }] of op.mixes.entries()) {
      const amount = add(at.parameter(by), at.matmul(parts(z, op.mixes.length)[i]!, up));
      at.set(out, towards(x, previous, amount));
    }
  },
  'low-rank': (op, at) => {
    let z = at.matmul(at.get(op.x), op.down);
    if (op.inner) z = z.map(functions[op.inner]);
    let y = at.matmul(z, op.up);
    if (op.bias) y = add(y, at.parameter(op.bias));
    at.set(op.out, op.outer ? y.map(functions[op.outer]) : y);
  },
  linear: (op, at) => {
    let y = at.matmul(at.get(op.x), op.weight);
    if (op.activation) y = y.map(functions[op.activation]);
    if (op.gate) y = mul(y, at.get(op.gate));
    at.set(op.out, op.residual ? add(y, at.get(op.residual)) : y);
  },
  prepare7: (op, at) => {
    const [k, rate] = [at.get(op.k), at.get(op.rate)];
    const direction = l2(mul(k, at.parameter(op.removal)), op.heads, op.eps);
    at.set(
      op.a,
      direction.map((number) => -number),
    );
    at.set(op.b, mul(direction, rate));
    const amount = at.parameter(op.replacement);
    at.set(
      op.key,
      k.map((number, i) => number * (1 + (rate[i]! - 1) * amount[i]!)),
    );
    if (op.residual) {
      const { v, first, amount: by, out } = op.residual;
      at.set(out, towards(at.get(v), at.get(first), at.get(by)));
    }
  },
  'time-mix6': (op, at) => {
    const y = at.norm(at.wkv6(op), op.norm);
    at.set(op.out, op.gate ? mul(y, at.get(op.gate)) : y);
  },
  'time-mix7': (op, at) => {
    const y = at.norm(at.wkv7(op), op.norm);
    at.set(op.out, mul(add(y, at.bonus7({ ...op, by: op.bonus })), at.get(op.gate)));
  },
};

export interface NaiveResult {
  /** The output row of every token. */
  readonly rows: number[][];
  readonly states: ReadonlyMap<string, number[]>;
}

/** One sequence from the initial state. */
export function runNaively(
  program: Program,
  { weights, tokens }: { weights: NamedWeights; tokens: readonly number[] },
): NaiveResult {
  const states = new Map<string, Vector>(
    program.states.map(({ name, shape, initial }) => {
      const rows = typeof initial === 'number' ? Array<number>(shape[0]!).fill(initial) : initial;
      const width = shape.slice(1).reduce((product, size) => product * size, 1);
      return [name, rows.flatMap((number) => Array<number>(width).fill(number))];
    }),
  );
  const rows = tokens.map((token) => {
    const at = new Token({ program, weights, states, token });
    for (const op of program.ops) (table[op.kind] as (op: Op, at: Token) => void)(op, at);
    return at.get(program.output);
  });
  return { rows, states };
}
