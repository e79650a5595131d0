/** How each op of the contract becomes native operations; the order of fields is that of native/engine/decode.cc. */
import type { Op, OpKind, OpOf, Value } from '@rwkv-ts/backend';
import { isValue } from '@rwkv-ts/program';
import { activationCode, type Buffer, type Field, type Graph } from './graph.js';

export interface EncodeContext {
  readonly graph: Graph;
  /** The prepare7 that a time-mix7 does itself, by the id of its key. */
  readonly fused: ReadonlyMap<number, OpOf<'prepare7'>>;
}

type Encoders = { readonly [K in OpKind]: (op: OpOf<K>, context: EncodeContext) => void };

/** An op that only reads rows `x` and maybe `more`, and writes `out`. */
function rowwise(
  graph: Graph,
  operation: 'norm' | 'l2-norm' | 'scale' | 'activate' | 'copy' | 'add' | 'mul',
  { op, more = [] }: { op: { x: Value; out: Value }; more?: readonly Field[] },
): void {
  const x = graph.read(op.x);
  const out = graph.write(op.out);
  graph.add(operation, op.out.rows, { fields: [op.out.width, x, out, ...more], writes: [out] });
}

interface LinearFields {
  readonly weight: string;
  readonly x: Field;
  readonly out: Field;
  readonly rows: 'T' | 'R';
  readonly bias?: Field;
  readonly activation?: number;
  readonly gate?: Field;
  readonly residual?: Field;
}

function linear(graph: Graph, parts: LinearFields): void {
  const { weight, x, out, bias, activation = 0, gate, residual, rows } = parts;
  const fields = [{ matrix: weight }, x, out, bias, activation, gate, residual];
  graph.add('linear', rows, { fields, writes: [out] });
}

interface ShiftFields {
  readonly x: Value;
  readonly state: string;
  readonly norm?: OpOf<'shift-mix'>['norm'];
  readonly towardPrevious?: boolean;
  readonly mixes?: readonly { readonly by: Field; readonly out: Field }[];
  readonly normed?: Field;
  readonly shifted?: Field;
  readonly difference?: Field;
}

/** The shift itself, and a later phase's writing of the state, when nobody reads the old one any more. */
function shift(graph: Graph, parts: ShiftFields): void {
  const { x, state, norm, towardPrevious = true, mixes = [], normed, shifted, difference } = parts;
  const { width } = x;
  const next: Field = { view: { buffer: graph.buffer(width, 'S'), column: 0 } };
  graph.add('shift-mix', x.rows, {
    fields: [
      width,
      graph.read(x),
      ...graph.norm(norm),
      { state },
      next,
      Number(towardPrevious),
      mixes.length,
      ...mixes.flatMap(({ by, out }) => [by, out]),
      normed,
      shifted,
      difference,
    ],
    writes: [next, ...mixes.map(({ out }) => out), normed, shifted, difference],
  });
  graph.add('commit-shift', 'T', { fields: [width, { state }, next], writes: [] });
}

function internal(graph: Graph, width: number): Field {
  return { view: { buffer: graph.buffer(width, 'T'), column: 0 } };
}

function wkv6(
  op: OpOf<'wkv6'> | OpOf<'time-mix6'>,
  { graph }: EncodeContext,
  tail: Pick<OpOf<'time-mix6'>, 'gate'> & Partial<Pick<OpOf<'time-mix6'>, 'norm'>>,
): void {
  const { heads } = op;
  const { width } = op.out;
  const [r, k, v] = [graph.read(op.r), graph.read(op.k), graph.read(op.v)];
  const decay = isValue(op.decay) ? graph.read(op.decay) : graph.parameter(op.decay, width);
  const gate = tail.gate && graph.read(tail.gate);
  const out = graph.write(op.out);
  const fields: Field[] = [heads, width / heads, r, k, v, out, decay];
  fields.push(graph.parameter(op.first, width), { state: op.state }, ...graph.norm(tail.norm));
  graph.add('wkv6', 'T', { fields: [...fields, gate], writes: [out] });
}

/** Inputs of wkv7: as they come, or with the raw key, from which the kernel makes key, a and b itself. */
function inputs7(
  op: OpOf<'wkv7'> | OpOf<'time-mix7'>,
  { graph, fused }: EncodeContext,
): { rows: Field[]; preparation: Field[] } {
  const prepare = fused.get(op.k.id);
  const [r, w] = [graph.read(op.r), graph.read(op.w)];
  if (!prepare) {
    const rows = [r, w, graph.read(op.k), graph.read(op.v), graph.read(op.a), graph.read(op.b)];
    return { rows, preparation: [undefined, undefined, 0, undefined, undefined, undefined] };
  }
  const { residual } = prepare;
  const v = graph.read(residual ? residual.v : op.v);
  return {
    rows: [r, w, graph.read(prepare.k), v, undefined, undefined],
    preparation: [
      graph.parameter(prepare.removal),
      graph.parameter(prepare.replacement),
      prepare.eps,
      graph.read(prepare.rate),
      residual && graph.read(residual.first),
      residual && graph.read(residual.amount),
    ],
  };
}

function wkv7(
  op: OpOf<'wkv7'> | OpOf<'time-mix7'>,
  context: EncodeContext,
  tail: Partial<Pick<OpOf<'time-mix7'>, 'norm' | 'bonus' | 'gate'>>,
): void {
  const { graph } = context;
  const { rows, preparation } = inputs7(op, context);
  const gate = tail.gate && graph.read(tail.gate);
  const out = graph.write(op.out);
  const fields: Field[] = [op.heads, op.out.width / op.heads, ...rows, out, { state: op.state }];
  fields.push(...graph.norm(tail.norm), tail.bonus && graph.parameter(tail.bonus), gate);
  graph.add('wkv7', 'T', { fields: [...fields, ...preparation], writes: [out] });
}

const encoders: Encoders = {
  embed: (op, { graph }) => {
    const out = graph.write(op.out);
    const fields = [{ matrix: op.table }, Number(op.by === 'input'), out];
    graph.add('embed', 'T', { fields, writes: [out] });
  },
  'select-rows': (op, { graph }) => {
    const x = graph.read(op.x);
    const out = graph.write(op.out);
    graph.add('select-rows', 'R', { fields: [op.out.width, x, out], writes: [out] });
  },
  norm: (op, { graph }) => {
    rowwise(graph, 'norm', { op, more: graph.norm(op) });
  },
  'l2-norm': (op, { graph }) => {
    rowwise(graph, 'l2-norm', { op, more: [op.groups, op.eps] });
  },
  shift: (op, { graph }) => {
    shift(graph, { x: op.x, state: op.state, shifted: graph.write(op.out) });
  },
  lerp: (op, { graph }) => {
    const [x, y, by] = [graph.read(op.x), graph.read(op.y), graph.operand(op.by)];
    const out = graph.write(op.out);
    graph.add('lerp', op.out.rows, { fields: [op.out.width, x, y, out, by], writes: [out] });
  },
  matmul: (op, { graph }) => {
    const x = graph.read(op.x);
    linear(graph, { weight: op.weight, x, out: graph.write(op.out), rows: op.out.rows });
  },
  'row-matmul': (op, { graph }) => {
    const [x, m] = [graph.read(op.x), graph.read(op.m)];
    const out = graph.write(op.out);
    const fields = [op.x.width, op.out.width, x, m, out];
    graph.add('row-matmul', op.out.rows, { fields, writes: [out] });
  },
  add: (op, { graph }) => {
    rowwise(graph, 'add', { op, more: [graph.operand(op.y)] });
  },
  mul: (op, { graph }) => {
    rowwise(graph, 'mul', { op, more: [graph.operand(op.y)] });
  },
  scale: (op, { graph }) => {
    rowwise(graph, 'scale', { op, more: [op.factor] });
  },
  activate: (op, { graph }) => {
    rowwise(graph, 'activate', { op, more: [activationCode(op.activation)] });
  },
  slice: (op, { graph }) => {
    const { buffer, column } = graph.view(op.x);
    const view = { buffer, column: column + op.start };
    if (graph.answer(op.out) !== 'output') {
      graph.alias(op.out, view);
      return;
    }
    const out = graph.write(op.out);
    graph.add('copy', op.out.rows, { fields: [op.out.width, { view }, out], writes: [out] });
  },
  'top-k': (op, { graph }) => {
    const x = graph.read(op.x);
    const out = graph.write(op.out);
    const fields = [op.x.width, op.count, x, out];
    graph.add('top-k', op.out.rows, { fields, writes: [out] });
  },
  wkv4: (op, { graph }) => {
    const [k, v] = [graph.read(op.k), graph.read(op.v)];
    const out = graph.write(op.out);
    const parameters = [graph.parameter(op.decay), graph.parameter(op.first)];
    const fields = [op.out.width, k, v, out, ...parameters, { state: op.state }];
    graph.add('wkv4', 'T', { fields, writes: [out] });
  },
  wkv6: (op, context) => {
    wkv6(op, context, {});
  },
  wkv7: (op, context) => {
    wkv7(op, context, {});
  },
  bonus7: (op, { graph }) => {
    const [r, k, v] = [graph.read(op.r), graph.read(op.k), graph.read(op.v)];
    const out = graph.write(op.out);
    const fields = [op.heads, op.out.width / op.heads, r, k, v, out, graph.parameter(op.by)];
    graph.add('bonus7', op.out.rows, { fields, writes: [out] });
  },
  'shift-mix': (op, { graph }) => {
    shift(graph, {
      x: op.x,
      norm: op.norm,
      state: op.state,
      towardPrevious: op.toward === 'previous',
      mixes: op.mixes.map(({ by, out }) => ({ by: graph.parameter(by), out: graph.write(out) })),
      normed: op.normed && graph.write(op.normed),
      shifted: op.shifted && graph.write(op.shifted),
    });
  },
  'shift-mix6': (op, { graph }) => {
    const { width } = op.x;
    const [mixed, normed, difference] = [0, 1, 2].map(() => internal(graph, width));
    shift(graph, {
      x: op.x,
      norm: op.norm,
      state: op.state,
      mixes: [{ by: graph.parameter(op.base), out: mixed }],
      normed,
      difference,
    });
    const rank = graph.rowsOf(op.down) / op.mixes.length;
    const all: Buffer = graph.buffer(rank * op.mixes.length, 'T');
    const hidden = { view: { buffer: all, column: 0 } };
    const activation = activationCode('tanh');
    linear(graph, { weight: op.down, x: mixed, out: hidden, rows: 'T', activation });
    for (const [index, { by, up, out }] of op.mixes.entries()) {
      linear(graph, {
        weight: up,
        x: { view: { buffer: all, column: index * rank } },
        out: graph.write(out),
        rows: 'T',
        bias: graph.parameter(by),
        gate: difference,
        residual: normed,
      });
    }
  },
  'low-rank': (op, { graph }) => {
    const { rows } = op.out;
    const buffer = graph.buffer(graph.rowsOf(op.down), rows);
    const hidden = { view: { buffer, column: 0 } };
    const x = graph.read(op.x);
    linear(graph, { weight: op.down, x, out: hidden, rows, activation: activationCode(op.inner) });
    linear(graph, {
      weight: op.up,
      x: hidden,
      out: graph.write(op.out),
      rows,
      bias: op.bias && graph.parameter(op.bias),
      activation: activationCode(op.outer),
    });
  },
  linear: (op, { graph }) => {
    const x = graph.read(op.x);
    const [gate, residual] = [
      op.gate && graph.read(op.gate),
      op.residual && graph.read(op.residual),
    ];
    linear(graph, {
      weight: op.weight,
      x,
      out: graph.write(op.out),
      rows: op.out.rows,
      activation: activationCode(op.activation),
      gate,
      residual,
    });
  },
  prepare7: (op, { graph, fused }) => {
    if (fused.get(op.key.id) === op) return;
    const { residual, heads } = op;
    const [k, rate] = [graph.read(op.k), graph.read(op.rate)];
    const own = residual && [residual.v, residual.first, residual.amount];
    const inputs = own ? own.map((value) => graph.read(value)) : [undefined, undefined, undefined];
    const outs = [op.key, op.a, op.b].map((value) => graph.write(value));
    const value = residual && graph.write(residual.out);
    const parameters = [graph.parameter(op.removal), graph.parameter(op.replacement), op.eps];
    graph.add('prepare7', op.key.rows, {
      fields: [heads, op.key.width / heads, k, rate, ...outs, ...parameters, ...inputs, value],
      writes: [...outs, value],
    });
  },
  'time-mix6': (op, context) => {
    wkv6(op, context, op);
  },
  'time-mix7': (op, context) => {
    wkv7(op, context, op);
  },
};

export function encodeOp(op: Op, context: EncodeContext): void {
  (encoders[op.kind] as (op: Op, context: EncodeContext) => void)(op, context);
}
