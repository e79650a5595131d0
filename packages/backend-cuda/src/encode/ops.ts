/** How each op of the contract becomes launches. */
import type { Op, OpKind, OpOf, Value } from '@rwkv-ts/backend';
import { bonus7Kernel } from '../kernels/bonus7.js';
import {
  activateKernel,
  addKernel,
  copyKernel,
  elementwiseColumns,
  lerpKernel,
  mulKernel,
  scaleKernel,
  selectRowsKernel,
} from '../kernels/elementwise.js';
import { embedColumns, embedKernel } from '../kernels/embed.js';
import type { Kernel } from '../kernels/kernel.js';
import { activationCode } from '../kernels/math.js';
import { l2NormKernel, normKernel } from '../kernels/norm.js';
import { prepare7Kernel } from '../kernels/prepare7.js';
import { rowMatmulColumns, rowMatmulKernel } from '../kernels/row-matmul.js';
import {
  topKChunk,
  topKFan,
  topKKernel,
  topKLength,
  topKListWidth,
  topKMergeKernel,
} from '../kernels/top-k.js';
import type { EncodeContext } from './context.js';
import { type Graph, rowKindCode, type RowsBuffer, type Values, type View } from './graph.js';
import { shiftMix, wkv4, wkv6, wkv7 } from './states.js';

type Encoders = { readonly [K in OpKind]: (op: OpOf<K>, context: EncodeContext) => void };

/** An op whose kernel takes rows `x` and writes rows `out` of the same width. */
function elementwise(
  { graph }: EncodeContext,
  op: { readonly x: Value; readonly out: Value },
  { kernel, values = {} }: { readonly kernel: Kernel; readonly values?: Values },
): void {
  const x = graph.read(op.x);
  const out = graph.write(op.out);
  const { width, rows } = op.out;
  graph.add({
    kernel,
    rows,
    values: { x, out, rows: rowKindCode[rows], width, ...values },
    writes: [out],
    parts: Math.ceil(width / elementwiseColumns),
  });
}

/** An op whose blocks own parts of rows. */
function partwise(
  { graph }: EncodeContext,
  op: { readonly x: Value; readonly out: Value; readonly groups: number; readonly eps: number },
  { kernel, values = {} }: { readonly kernel: Kernel; readonly values?: Values },
): void {
  const x = graph.read(op.x);
  const out = graph.write(op.out);
  const { width, rows } = op.out;
  const own = { rows: rowKindCode[rows], part: width / op.groups, eps: op.eps };
  graph.add({
    kernel,
    rows,
    values: { x, out, ...own, ...values },
    writes: [out],
    parts: op.groups,
  });
}

const encoders: Encoders = {
  embed: (op, { graph }) => {
    const out = graph.write(op.out);
    const { width } = op.out;
    const values = {
      table: { table: op.table },
      out,
      width,
      // Not always the matrix's own: what was made of its other form is f32.
      format: { fileFormatOf: op.table },
      row_bytes: { rowBytesOf: op.table },
      takes_vectors: Number(op.by === 'input'),
    };
    const parts = Math.ceil(width / embedColumns);
    graph.add({ kernel: embedKernel, rows: 'T', values, writes: [out], parts });
  },
  'select-rows': (op, { graph }) => {
    const x = graph.read(op.x);
    const out = graph.write(op.out);
    const { width } = op.out;
    const parts = Math.ceil(width / elementwiseColumns);
    graph.add({
      kernel: selectRowsKernel,
      rows: 'R',
      values: { x, out, width },
      writes: [out],
      parts,
    });
  },
  norm: (op, context) => {
    partwise(context, op, { kernel: normKernel, values: context.graph.norm(op) });
  },
  'l2-norm': (op, context) => {
    partwise(context, op, { kernel: l2NormKernel });
  },
  shift: (op, { graph }) => {
    shiftMix(graph, { x: op.x, state: op.state, shifted: graph.write(op.out) });
  },
  lerp: (op, context) => {
    const { graph } = context;
    const values = { y: graph.read(op.y), by: graph.operand(op.by) };
    elementwise(context, op, { kernel: lerpKernel, values });
  },
  matmul: (op, { graph }) => {
    const x = graph.view(op.x);
    graph.linear({ weight: op.weight, rows: op.out.rows, x, out: graph.writeView(op.out) });
  },
  'row-matmul': (op, { graph }) => {
    const { width, rows } = op.out;
    const [x, m] = [graph.read(op.x), graph.read(op.m)];
    const out = graph.write(op.out);
    const sizes = { rows: rowKindCode[rows], width, inner: op.x.width };
    graph.add({
      kernel: rowMatmulKernel,
      rows,
      values: { x, m, out, ...sizes },
      writes: [out],
      parts: Math.ceil(width / rowMatmulColumns),
    });
  },
  add: (op, context) => {
    const values = { y: context.graph.operand(op.y) };
    elementwise(context, op, { kernel: addKernel, values });
  },
  mul: (op, context) => {
    const values = { y: context.graph.operand(op.y) };
    elementwise(context, op, { kernel: mulKernel, values });
  },
  scale: (op, context) => {
    elementwise(context, op, { kernel: scaleKernel, values: { factor: op.factor } });
  },
  activate: (op, context) => {
    const values = { activation: activationCode(op.activation) };
    elementwise(context, op, { kernel: activateKernel, values });
  },
  slice: (op, { graph }) => {
    const { buffer, column } = graph.view(op.x);
    const view = { buffer, column: column + op.start };
    if (graph.answer(op.out) !== 'output') {
      graph.alias(op.out, view);
      return;
    }
    copyView(graph, { view, out: graph.writeView(op.out), width: op.out.width, rows: op.out.rows });
  },
  'top-k': (op, { graph }) => {
    topK(graph, op);
  },
  wkv4: (op, context) => {
    wkv4(context, op);
  },
  wkv6: (op, context) => {
    wkv6(context, op, {});
  },
  wkv7: (op, context) => {
    wkv7(context, op);
  },
  bonus7: (op, { graph }) => {
    const { width, rows } = op.out;
    const [r, k, v] = [graph.read(op.r), graph.read(op.k), graph.read(op.v)];
    const out = graph.write(op.out);
    const sizes = { rows: rowKindCode[rows], size: width / op.heads };
    const values = { r, k, v, by: graph.parameter(op.by), out, ...sizes };
    graph.add({ kernel: bonus7Kernel, rows, values, writes: [out], parts: op.heads });
  },
  'shift-mix': (op, { graph }) => {
    shiftMix(graph, {
      x: op.x,
      norm: op.norm,
      state: op.state,
      toward: op.toward,
      mixes: op.mixes.map(({ by, out }) => ({ by: graph.parameter(by), out: graph.write(out) })),
      normed: op.normed && graph.write(op.normed),
      shifted: op.shifted && graph.write(op.shifted),
    });
  },
  'shift-mix6': (op, { graph }) => {
    shiftMix6(graph, op);
  },
  'low-rank': (op, { graph }) => {
    const { rows } = op.out;
    const hidden = graph.internal(graph.matrix(op.down).rows, rows);
    const x = graph.view(op.x);
    const inner = activationCode(op.inner);
    graph.linear({ weight: op.down, rows, x, out: hidden, activation: inner });
    graph.linear({
      weight: op.up,
      rows,
      x: hidden,
      out: graph.writeView(op.out),
      bias: op.bias && graph.bound(op.bias),
      activation: activationCode(op.outer),
    });
  },
  linear: (op, { graph }) => {
    graph.linear({
      weight: op.weight,
      rows: op.out.rows,
      x: graph.view(op.x),
      activation: activationCode(op.activation),
      gate: op.gate && graph.view(op.gate),
      residual: op.residual && graph.view(op.residual),
      out: graph.writeView(op.out),
    });
  },
  prepare7: (op, { graph, fused }) => {
    if (fused.get(op.key.id) === op) return;
    const { residual, heads } = op;
    const { width, rows } = op.key;
    const inputs = residual && {
      v: graph.read(residual.v),
      first: graph.read(residual.first),
      amount: graph.read(residual.amount),
    };
    const values = {
      k: graph.read(op.k),
      rate: graph.read(op.rate),
      removal: graph.parameter(op.removal),
      replacement: graph.parameter(op.replacement),
      ...inputs,
      key: graph.write(op.key),
      a: graph.write(op.a),
      b: graph.write(op.b),
      value: residual && graph.write(residual.out),
      rows: rowKindCode[rows],
      size: width / heads,
      floor: op.eps,
    };
    const writes = [values.key, values.a, values.b, values.value];
    graph.add({ kernel: prepare7Kernel, rows, values, writes, parts: heads });
  },
  'time-mix6': (op, context) => {
    wkv6(context, op, op);
  },
  'time-mix7': (op, context) => {
    wkv7(context, op, op);
  },
};

/** Columns of a buffer as rows without gaps. */
function copyView(
  graph: Graph,
  {
    view,
    out: own,
    width,
    rows,
  }: { readonly view: View; readonly out: View; readonly width: number; readonly rows: 'T' | 'R' },
): void {
  const out = { view: own };
  graph.add({
    kernel: copyKernel,
    rows,
    values: { x: { view }, out, rows: rowKindCode[rows], width },
    writes: [out],
    parts: Math.ceil(width / elementwiseColumns),
  });
}

/** Buffers that hold the values and nothing else, after all ops. */
export function encodeDeparture(graph: Graph, values: readonly Value[]): RowsBuffer[] {
  return values.map((value) => {
    const view = graph.view(value);
    const { width, rows } = value;
    if (view.column === 0 && view.buffer.width === width) return view.buffer;
    const out = graph.internal(width, rows);
    copyView(graph, { view, out, width, rows });
    return out.buffer;
  });
}

/** The shift toward one mix, the products of all mixes' low ranks at once, then each mix as a product with bias and gate. */
function shiftMix6(graph: Graph, op: OpOf<'shift-mix6'>): void {
  const { width } = op.x;
  const [mixed, normed, difference] = [
    graph.internal(width, 'T'),
    graph.internal(width, 'T'),
    graph.internal(width, 'T'),
  ];
  shiftMix(graph, {
    x: op.x,
    norm: op.norm,
    state: op.state,
    mixes: [{ by: graph.parameter(op.base), out: { view: mixed } }],
    normed: { view: normed },
    difference: { view: difference },
  });
  const total = graph.matrix(op.down).rows;
  const hidden = graph.internal(total, 'T');
  const activation = activationCode('tanh');
  graph.linear({ weight: op.down, rows: 'T', x: mixed, out: hidden, activation });
  const rank = total / op.mixes.length;
  for (const [index, { by, up, out }] of op.mixes.entries()) {
    graph.linear({
      weight: up,
      rows: 'T',
      x: { ...hidden, column: index * rank },
      out: graph.writeView(out),
      bias: graph.bound(by),
      gate: difference,
      residual: normed,
    });
  }
}

/** The lists of a row's chunks, then fewer and fewer of them. */
function topK(graph: Graph, { x, out, count: wanted }: OpOf<'top-k'>): void {
  const length = topKLength(wanted);
  const fan = topKFan(length);
  const own = {
    rows: out.rows,
    forCandidates: graph.answer(out) === 'candidates',
  };
  const rows = rowKindCode[out.rows];
  const room = (lists: number) => graph.internal(lists * topKListWidth(length), out.rows);
  let count = Math.ceil(x.width / topKChunk);
  let lists = { view: room(count) };
  graph.add({
    ...own,
    kernel: topKKernel,
    values: { x: graph.read(x), lists, rows, width: x.width, length },
    writes: [lists],
    parts: count,
  });
  for (let parts = 0; parts !== 1; count = parts) {
    parts = Math.ceil(count / fan);
    const into = parts === 1 ? graph.write(out) : { view: room(parts) };
    graph.add({
      ...own,
      kernel: topKMergeKernel,
      values: { lists, out: into, rows, count, length, fan, wanted },
      writes: [into],
      parts,
    });
    lists = into;
  }
}

export function encodeOp(op: Op, context: EncodeContext): void {
  (encoders[op.kind] as (op: Op, context: EncodeContext) => void)(op, context);
}
