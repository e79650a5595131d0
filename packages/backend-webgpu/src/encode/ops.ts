/** How each op of the contract becomes dispatches. */
import type { Op, OpKind, OpOf, Value } from '@rwkv-ts/backend';
import { stepWords } from '@rwkv-ts/program';
import { activateShader } from '../kernels/activate.js';
import { addShader } from '../kernels/add.js';
import { bonus7Shader } from '../kernels/bonus7.js';
import { elementwiseGroup } from '../kernels/elementwise.js';
import { embedShader } from '../kernels/embed.js';
import { lerpShader } from '../kernels/lerp.js';
import { activationCode } from '../kernels/math.js';
import { mulShader } from '../kernels/mul.js';
import { l2NormShader, normShader } from '../kernels/norm.js';
import { prepare7Shader } from '../kernels/prepare7.js';
import { rowMatmulShader } from '../kernels/row-matmul.js';
import { scaleShader } from '../kernels/scale.js';
import { selectRowsShader } from '../kernels/select-rows.js';
import type { Shader } from '../kernels/shader.js';
import { sliceShader } from '../kernels/slice.js';
import {
  topKChunk,
  topKFan,
  topKLength,
  topKListWidth,
  topKMergeShader,
  topKShader,
} from '../kernels/top-k.js';
import { wkv4Shader } from '../kernels/wkv4.js';
import { type EncodeContext, kindOf, rowsWord } from './context.js';
import { type Argument, type Graph, matrixValues, padded, type View } from './graph.js';
import { shiftMix, wkv6, wkv7 } from './states.js';

type Encoders = { readonly [K in OpKind]: (op: OpOf<K>, context: EncodeContext) => void };

/** An op whose kernel takes rows `x` and writes rows `out` of the same width. */
function elementwise(
  { graph }: EncodeContext,
  op: { readonly x: Value; readonly out: Value },
  { shader, values = {} }: { shader: Shader; values?: Record<string, Argument> },
): void {
  const x = graph.read(op.x);
  const out = graph.write(op.out);
  const { width, rows } = op.out;
  graph.add({
    rows,
    shader,
    groups: Math.ceil(padded(width) / 4 / elementwiseGroup),
    values: { rows: rowsWord(rows), width, x, out, ...values },
    writes: ['out'],
  });
}

/** An op whose groups own parts of rows. */
function partwise(
  { graph }: EncodeContext,
  op: { readonly x: Value; readonly out: Value; readonly groups: number; readonly eps: number },
  { shader, values = {} }: { shader: Shader; values?: Record<string, Argument> },
): void {
  const x = graph.read(op.x);
  const out = graph.write(op.out);
  const { width, rows } = op.out;
  const own = { rows: rowsWord(rows), width, part: width / op.groups, eps: op.eps };
  graph.add({
    rows,
    shader,
    groups: op.groups,
    values: { ...own, x, out, ...values },
    writes: ['out'],
  });
}

const encoders: Encoders = {
  embed: (op, { graph }) => {
    const shape = graph.matrix(op.table);
    const { parts, format, columns } = shape;
    const out = graph.write(op.out);
    for (const [part, { firstRow, rows: count }] of parts.entries()) {
      const values = {
        rows: stepWords.tokens,
        width: columns,
        first: firstRow,
        count,
        out,
        ...matrixValues(shape, part),
      };
      graph.add({
        rows: 'T',
        shader: embedShader(format, shape.layout),
        groups: Math.ceil(columns / 512),
        values: { ...values, takes_vectors: Number(op.by === 'input') },
        writes: ['out'],
        matrices: [{ weight: op.table, part }],
      });
    }
  },
  'select-rows': (op, context) => {
    elementwise(context, op, { shader: selectRowsShader() });
  },
  norm: (op, context) => {
    partwise(context, op, { shader: normShader(), values: context.graph.norm(op) });
  },
  'l2-norm': (op, context) => {
    partwise(context, op, { shader: l2NormShader() });
  },
  shift: (op, context) => {
    shiftMix(context, { x: op.x, state: op.state, shifted: context.graph.write(op.out) });
  },
  lerp: (op, context) => {
    const { graph } = context;
    const values = { y: graph.read(op.y), by: graph.operand(op.by) };
    elementwise(context, op, { shader: lerpShader(kindOf(op.by)), values });
  },
  matmul: (op, { graph }) => {
    const x = graph.view(op.x);
    graph.linear({ weight: op.weight, rows: op.out.rows, x, out: graph.writeView(op.out) });
  },
  'row-matmul': (op, { graph }) => {
    const { width, rows } = op.out;
    graph.add({
      rows,
      shader: rowMatmulShader(),
      groups: Math.ceil(padded(width) / 64),
      values: {
        rows: rowsWord(rows),
        width,
        inner: op.x.width,
        x: graph.read(op.x),
        m: graph.read(op.m),
        out: graph.write(op.out),
      },
      writes: ['out'],
    });
  },
  add: (op, context) => {
    const values = { y: context.graph.operand(op.y) };
    elementwise(context, op, { shader: addShader(kindOf(op.y)), values });
  },
  mul: (op, context) => {
    const values = { y: context.graph.operand(op.y) };
    elementwise(context, op, { shader: mulShader(kindOf(op.y)), values });
  },
  scale: (op, context) => {
    elementwise(context, op, { shader: scaleShader(), values: { factor: op.factor } });
  },
  activate: (op, context) => {
    const values = { activation: activationCode(op.activation) };
    elementwise(context, op, { shader: activateShader(), values });
  },
  slice: (op, { graph }) => {
    const { buffer, column } = graph.view(op.x);
    const { width, rows } = op.out;
    const view: View = { buffer, column: column + op.start };
    // A view is read in eights, so it must begin and end between eights.
    if (graph.answer(op.out) !== 'output' && view.column % 8 === 0 && width % 8 === 0) {
      graph.alias(op.out, view);
      return;
    }
    graph.add({
      rows,
      shader: sliceShader(),
      groups: Math.ceil(padded(width) / 256),
      values: {
        rows: rowsWord(rows),
        width,
        start: op.start,
        x: graph.read(op.x),
        out: graph.write(op.out),
      },
      writes: ['out'],
    });
  },
  'top-k': (op, { graph }) => {
    topK(graph, op);
  },
  wkv4: (op, { graph }) => {
    const { width } = op.out;
    graph.add({
      rows: 'S',
      shader: wkv4Shader(),
      groups: Math.ceil(padded(width) / 64),
      values: {
        width,
        k: graph.read(op.k),
        v: graph.read(op.v),
        decay: graph.parameter(op.decay),
        first: graph.parameter(op.first),
        out: graph.write(op.out),
      },
      writes: ['out'],
      state: op.state,
    });
  },
  wkv6: (op, context) => {
    wkv6(op, context, {});
  },
  wkv7: (op, context) => {
    wkv7(op, context);
  },
  bonus7: (op, { graph }) => {
    const { width, rows } = op.out;
    graph.add({
      rows,
      shader: bonus7Shader(),
      groups: op.heads,
      values: {
        rows: rowsWord(rows),
        width,
        size: width / op.heads,
        r: graph.read(op.r),
        k: graph.read(op.k),
        v: graph.read(op.v),
        by: graph.parameter(op.by),
        out: graph.write(op.out),
      },
      writes: ['out'],
    });
  },
  'shift-mix': (op, context) => {
    const { graph } = context;
    shiftMix(context, {
      x: op.x,
      norm: op.norm,
      state: op.state,
      toward: op.toward,
      mixes: op.mixes.map(({ by, out }) => ({ by: graph.parameter(by), out: graph.write(out) })),
      normed: op.normed && graph.write(op.normed),
      shifted: op.shifted && graph.write(op.shifted),
    });
  },
  'shift-mix6': (op, context) => {
    const { graph } = context;
    const { width } = op.x;
    const total = graph.matrix(op.down).rows;
    const [mixed, normed, difference] = [width, width, width].map((each) =>
      graph.internal(each, 'T'),
    );
    shiftMix(context, {
      x: op.x,
      norm: op.norm,
      state: op.state,
      mixes: [{ by: graph.parameter(op.base), out: { view: mixed! } }],
      normed: { view: normed! },
      difference: { view: difference! },
    });
    const hidden = graph.internal(total, 'T');
    const activation = activationCode('tanh');
    graph.linear({ weight: op.down, rows: 'T', x: mixed!, out: hidden, activation });
    const rank = total / op.mixes.length;
    for (const [index, { by, up, out }] of op.mixes.entries()) {
      graph.linear({
        weight: up,
        rows: 'T',
        x: part(graph, { x: hidden, start: index * rank, width: rank }),
        out: graph.writeView(out),
        bias: graph.bound(by),
        gate: difference!,
        residual: normed!,
      });
    }
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
    const x = graph.view(op.x);
    const [gate, residual] = [
      op.gate && graph.view(op.gate),
      op.residual && graph.view(op.residual),
    ];
    graph.linear({
      weight: op.weight,
      rows: op.out.rows,
      x,
      out: graph.writeView(op.out),
      activation: activationCode(op.activation),
      gate,
      residual,
    });
  },
  prepare7: (op, { graph, fused }) => {
    if (fused.get(op.key.id) === op) return;
    const { residual, heads } = op;
    const { width, rows } = op.key;
    const inputs = { k: graph.read(op.k), rate: graph.read(op.rate) };
    const value = residual && {
      v: graph.read(residual.v),
      first: graph.read(residual.first),
      amount: graph.read(residual.amount),
      value: graph.write(residual.out),
    };
    graph.add({
      rows,
      shader: prepare7Shader({ hasResidual: residual !== undefined }),
      groups: heads,
      values: {
        rows: rowsWord(rows),
        width,
        size: width / heads,
        floor: op.eps,
        removal: graph.parameter(op.removal),
        replacement: graph.parameter(op.replacement),
        key: graph.write(op.key),
        a: graph.write(op.a),
        b: graph.write(op.b),
        ...inputs,
        ...value,
      },
      writes: ['key', 'a', 'b', ...(value ? ['value'] : [])],
    });
  },
  'time-mix6': (op, context) => {
    wkv6(op, context, op);
  },
  'time-mix7': (op, context) => {
    wkv7(op, context, op);
  },
};

/** The lists of a row's chunks, then fewer and fewer of them. */
function topK(graph: Graph, { x, out, count }: OpOf<'top-k'>): void {
  const length = topKLength(count);
  const { rows } = out;
  const own = { rows, writes: ['out'], forCandidates: graph.answer(out) === 'candidates' };
  let lists = Math.ceil(x.width / topKChunk);
  let found = graph.internal(lists * topKListWidth(length), rows);
  graph.add({
    ...own,
    shader: topKShader(length),
    groups: lists,
    values: { rows: rowsWord(rows), width: x.width, x: graph.read(x), out: { view: found } },
  });
  const merge = (into: View, groups: number) => {
    const values = { rows: rowsWord(rows), lists, count, x: { view: found }, out: { view: into } };
    graph.add({ ...own, shader: topKMergeShader(length), groups, values });
  };
  while (lists > topKFan) {
    const groups = Math.ceil(lists / topKFan);
    const into = graph.internal(groups * topKListWidth(length), rows);
    merge(into, groups);
    [lists, found] = [groups, into];
  }
  merge(graph.writeView(out), 1);
}

/** Columns of rows as a product reads them: a view where it begins and ends between eights, a copy elsewhere. */
function part(graph: Graph, { x, start, width }: { x: View; start: number; width: number }): View {
  if (start % 8 === 0 && width % 8 === 0) return { buffer: x.buffer, column: x.column + start };
  const out = graph.internal(width, x.buffer.rows);
  graph.add({
    rows: x.buffer.rows,
    shader: sliceShader(),
    groups: Math.ceil(padded(width) / 256),
    values: { rows: rowsWord(x.buffer.rows), width, start, x: { view: x }, out: { view: out } },
    writes: ['out'],
  });
  return out;
}

export function encodeOp(op: Op, context: EncodeContext): void {
  (encoders[op.kind] as (op: Op, context: EncodeContext) => void)(op, context);
}
