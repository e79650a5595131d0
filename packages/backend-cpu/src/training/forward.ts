/** The forward pass of each primitive op as instructions. The order of arguments is that of native/training/fits.cc. */
import {
  BackendError,
  type NormParameters,
  type Op,
  type OpOf,
  type Operand,
  type TrainingLimits,
  type Value,
} from '@rwkv-ts/backend';
import { activationCode } from '../encode/graph.js';
import type { TrainingGraph } from './graph.js';
import { recurrenceCost, wkv4Record, wkv6Record, wkv7Record } from './recurrences.js';

/** Ops that can be trained; a top-k is left out of a run, since nothing reads it. */
export const trainingKinds = [
  'embed',
  'select-rows',
  'norm',
  'l2-norm',
  'shift',
  'lerp',
  'matmul',
  'row-matmul',
  'add',
  'mul',
  'scale',
  'activate',
  'slice',
  'top-k',
  'wkv4',
  'wkv6',
  'wkv7',
  'bonus7',
] as const;
export type TrainingKind = (typeof trainingKinds)[number];

export interface TrainingContext {
  readonly graph: TrainingGraph;
  readonly limits: TrainingLimits;
  readonly output: Value;
}

type Forward<Kind extends TrainingKind> = (op: OpOf<Kind>, context: TrainingContext) => void;
type ForwardTable = { readonly [Kind in TrainingKind]: Forward<Kind> };

/** About how long one number of a row takes in each operand. */
const perNumber = 0.06;

function rowwise(
  op: { readonly x: Value; readonly out: Value },
  { graph }: TrainingContext,
  {
    code,
    more = [],
  }: { code: 'l2-norm' | 'scale' | 'activate' | 'copy'; more?: readonly number[] },
): void {
  const x = graph.read(op.x);
  const out = graph.write(op.out);
  graph.add(code, {
    rows: op.out.rows,
    reads: [x],
    writes: [out],
    arguments: [x, out],
    numbers: [op.out.width, ...more],
    nanoseconds: op.out.width * perNumber * (code === 'activate' ? 8 : 2),
  });
}

function pairwise(
  op: { readonly kind: 'add' | 'mul'; readonly x: Value; readonly y: Operand; readonly out: Value },
  { graph }: TrainingContext,
): void {
  const { width, rows } = op.out;
  const [x, y] = [graph.read(op.x), graph.operand(op.y, width)];
  const out = graph.write(op.out);
  graph.add(op.kind, {
    rows,
    reads: [x, y],
    writes: [out],
    arguments: [x, y, out],
    numbers: [width],
    nanoseconds: width * perNumber * 3,
  });
}

export const normNumbers = ({ groups, eps }: Pick<NormParameters, 'groups' | 'eps'>): number[] => [
  groups,
  eps,
];

const forward: ForwardTable = {
  embed: (op, { graph }) => {
    const { width } = op.out;
    const out = graph.write(op.out);
    graph.add('embed', {
      writes: [out],
      arguments: [graph.weight(op.table), out],
      numbers: [width],
      nanoseconds: width * perNumber * 2,
    });
  },
  'select-rows': (op, { graph }) => {
    const { width } = op.out;
    const x = graph.read(op.x);
    const out = graph.write(op.out);
    graph.add('select-rows', {
      rows: 'R',
      crossing: [x],
      writes: [out],
      arguments: [x, out],
      numbers: [width],
      nanoseconds: width * perNumber * 2,
    });
  },
  norm: (op, { graph }) => {
    const { width, rows } = op.out;
    const x = graph.read(op.x);
    const out = graph.write(op.out);
    graph.add('norm', {
      rows,
      reads: [x],
      writes: [out],
      arguments: [x, out, graph.weight(op.weight), graph.weight(op.bias)],
      numbers: [width, ...normNumbers(op)],
      nanoseconds: width * perNumber * 5,
    });
  },
  'l2-norm': (op, context) => {
    rowwise(op, context, { code: 'l2-norm', more: normNumbers(op) });
  },
  shift: (op, { graph, limits }) => {
    const { width } = op.out;
    const [x, state] = [graph.read(op.x), graph.state(op.state)];
    const out = graph.write(op.out);
    const next = graph.buffer('sequences', width);
    graph.add('shift', {
      crossing: [x, state],
      writes: [out, next],
      arguments: [x, out, state, next],
      numbers: [width],
      nanoseconds: width * perNumber * 2,
    });
    graph.add('commit-shift', {
      units: 'sequences',
      reads: [next],
      writes: [state],
      arguments: [state, next],
      numbers: [width],
      nanoseconds: (width * perNumber * limits.sequences) / limits.tokens,
    });
  },
  lerp: (op, { graph }) => {
    const { width, rows } = op.out;
    const [x, y, by] = [graph.read(op.x), graph.read(op.y), graph.operand(op.by, width)];
    const out = graph.write(op.out);
    graph.add('lerp', {
      rows,
      reads: [x, y, by],
      writes: [out],
      arguments: [x, y, by, out],
      numbers: [width],
      nanoseconds: width * perNumber * 4,
    });
  },
  matmul: (op, { graph }) => {
    const x = graph.read(op.x);
    const out = graph.write(op.out);
    graph.add('product', {
      units: 'product',
      rows: op.out.rows,
      reads: [x],
      writes: [out],
      arguments: [x, graph.weight(op.weight), out],
      numbers: [0, 0, op.x.width, op.out.width],
      nanoseconds: 0,
    });
  },
  'row-matmul': (op, { graph }) => {
    const [x, m] = [graph.read(op.x), graph.read(op.m)];
    const out = graph.write(op.out);
    graph.add('row-matmul', {
      rows: op.out.rows,
      reads: [x, m],
      writes: [out],
      arguments: [x, m, out],
      numbers: [op.x.width, op.out.width],
      nanoseconds: op.m.width * perNumber * 2,
    });
  },
  add: pairwise,
  mul: pairwise,
  scale: (op, context) => {
    rowwise(op, context, { code: 'scale', more: [op.factor] });
  },
  activate: (op, context) => {
    rowwise(op, context, { code: 'activate', more: [activationCode(op.activation)] });
  },
  slice: (op, context) => {
    if (op.out.id !== context.output.id) {
      context.graph.alias(op.out, op.x, op.start);
      return;
    }
    const { graph } = context;
    const x = graph.columns(op.x, op.start, op.out.width);
    const out = graph.write(op.out);
    graph.add('copy', {
      rows: op.out.rows,
      reads: [x],
      writes: [out],
      arguments: [x, out],
      numbers: [op.out.width],
      nanoseconds: op.out.width * perNumber * 2,
    });
  },
  'top-k': () => undefined,
  wkv4: (op, { graph, limits }) => {
    const { width } = op.out;
    const [k, v, state] = [graph.read(op.k), graph.read(op.v), graph.state(op.state)];
    const parameters = [graph.parameter(op.decay, width), graph.parameter(op.first, width)];
    const out = graph.write(op.out);
    const record = graph.record(op.state, wkv4Record(width, limits));
    graph.add('wkv4', {
      units: 'sequence-parts',
      reads: [k, v, ...parameters],
      writes: [out, state, record],
      arguments: [k, v, ...parameters, out, state, record],
      numbers: [width],
      nanoseconds: width * 3,
    });
  },
  wkv6: (op, { graph, limits }) => {
    const { width } = op.out;
    const size = width / op.heads;
    const inputs = [op.r, op.k, op.v].map((value) => graph.read(value));
    const parameters = [graph.operand(op.decay, width), graph.parameter(op.first, width)];
    const state = graph.state(op.state);
    const out = graph.write(op.out);
    const record = graph.record(op.state, wkv6Record({ heads: op.heads, size }, limits));
    graph.add('wkv6', {
      units: 'sequence-parts',
      reads: [...inputs, ...parameters],
      writes: [out, state, record],
      arguments: [...inputs, ...parameters, out, state, record],
      numbers: [op.heads, size],
      nanoseconds: recurrenceCost(width, size),
    });
  },
  wkv7: (op, { graph, limits }) => {
    const { width } = op.out;
    const size = width / op.heads;
    const inputs = [op.r, op.w, op.k, op.v, op.a, op.b].map((value) => graph.read(value));
    const state = graph.state(op.state);
    const out = graph.write(op.out);
    const record = graph.record(op.state, wkv7Record({ heads: op.heads, size }, limits));
    graph.add('wkv7', {
      units: 'sequence-parts',
      reads: inputs,
      writes: [out, state, record],
      arguments: [...inputs, out, state, record],
      numbers: [op.heads, size],
      nanoseconds: recurrenceCost(width, size),
    });
  },
  bonus7: (op, { graph }) => {
    const { width, rows } = op.out;
    const [r, k, v] = [graph.read(op.r), graph.read(op.k), graph.read(op.v)];
    const by = graph.parameter(op.by, width);
    const out = graph.write(op.out);
    graph.add('bonus7', {
      rows,
      reads: [r, k, v, by],
      writes: [out],
      arguments: [r, k, v, by, out],
      numbers: [op.heads, width / op.heads],
      nanoseconds: width * perNumber * 8,
    });
  },
};

/** @throws BackendError `UNSUPPORTED_OP` for an op that training does not know */
export function addForward(op: Op, context: TrainingContext): void {
  if (!Object.hasOwn(forward, op.kind)) {
    throw new BackendError({
      code: 'UNSUPPORTED_OP',
      message: `The op kind ${op.kind} cannot be trained here; ${trainingKinds.join(', ')} can.`,
      expected: trainingKinds,
      got: op.kind,
    });
  }
  (forward[op.kind as TrainingKind] as (op: Op, context: TrainingContext) => void)(op, context);
}
