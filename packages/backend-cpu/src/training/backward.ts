/** The backward pass of each primitive op as instructions. The order of arguments is that of native/training/fits.cc. */
import type { OpOf, Operand } from '@rwkv-ts/backend';
import { type BackwardStep, isValue } from '@rwkv-ts/program';
import { activationCode } from '../encode/graph.js';
import type { activations } from '../native.js';
import { normNumbers, type TrainingContext, type TrainingKind } from './forward.js';
import type { Argument, GradientTarget } from './graph.js';
import { recurrenceCost, wkv4Record, wkv6Record, wkv7Record } from './recurrences.js';

type Backward<Kind extends TrainingKind> = (
  op: OpOf<Kind>,
  step: BackwardStep,
  context: TrainingContext,
) => void;
type BackwardTable = { readonly [Kind in TrainingKind]: Backward<Kind> };

/** About how long one number of a row takes in each operand. */
const perNumber = 0.06;

const argumentsOf = (targets: readonly GradientTarget[]): Argument[] =>
  targets.map(({ argument }) => argument);
const additionsOf = (targets: readonly GradientTarget[]): number[] => targets.map(({ add }) => add);

/** Activations whose derivative is had from their result (`activation_uses_result` of native/kernels/training.h). */
const fromResult: ReadonlySet<(typeof activations)[number]> = new Set([
  'sigmoid',
  'exp',
  'negative-exp',
]);

/** Sums for a parameter that learns; nothing for a value, or a parameter that does not. */
function sumsFor(
  operand: Operand,
  { learns, width, rows }: { learns: boolean | undefined; width: number; rows: 'T' | 'R' },
  { graph }: TrainingContext,
): Argument {
  return isValue(operand) || !learns ? undefined : graph.sums(rows, width);
}

/** What sums are for, once the instruction that makes them is there. */
function finishSums(
  operand: Operand,
  { sums, rows, width }: { sums: Argument; rows: 'T' | 'R'; width: number },
  { graph }: TrainingContext,
): void {
  if (sums === undefined || isValue(operand)) return;
  graph.addParameterGradient(operand, { sums, rows, count: width });
}

const backward: BackwardTable = {
  embed: (op, { writes, weights }, { graph }) => {
    if (!weights[0]) return;
    const given = graph.given(op.out, writes[0]);
    const gradient = graph.weightGradient(op.table);
    graph.add('embed-backward', {
      units: 'column-blocks',
      reads: [given],
      writes: [gradient],
      arguments: [given, gradient],
      numbers: [op.out.width],
      nanoseconds: op.out.width * perNumber * 4,
    });
  },
  'select-rows': (op, { writes, reads }, { graph }) => {
    const { width } = op.out;
    const given = graph.given(op.out, writes[0]);
    const x = graph.target(op.x, reads[0]);
    graph.add('select-rows-backward', {
      crossing: [given],
      writes: [x.argument],
      arguments: [given, x.argument],
      numbers: [width, x.add],
      nanoseconds: width * perNumber * 2,
    });
  },
  norm: (op, { writes, reads, weights }, context) => {
    const { graph } = context;
    const { width, rows } = op.out;
    const [source, given] = [graph.read(op.x), graph.given(op.out, writes[0])];
    const x = graph.target(op.x, reads[0]);
    const parameters = [{ weight: op.weight }, { weight: op.bias }];
    const sums = parameters.map((parameter, index) =>
      sumsFor(parameter, { learns: weights[index], width, rows }, context),
    );
    graph.add('norm-backward', {
      rows,
      reads: [source, given],
      writes: [x.argument, ...sums],
      arguments: [source, given, graph.weight(op.weight), x.argument, ...sums],
      numbers: [width, ...normNumbers(op), x.add],
      nanoseconds: width * perNumber * 10,
    });
    for (const [index, parameter] of parameters.entries()) {
      finishSums(parameter, { sums: sums[index], rows, width }, context);
    }
  },
  'l2-norm': (op, { writes, reads }, { graph }) => {
    const [source, given] = [graph.read(op.x), graph.given(op.out, writes[0])];
    const x = graph.target(op.x, reads[0]);
    graph.add('l2-norm-backward', {
      rows: op.out.rows,
      reads: [source, given],
      writes: [x.argument],
      arguments: [source, given, x.argument],
      numbers: [op.out.width, ...normNumbers(op), x.add],
      nanoseconds: op.out.width * perNumber * 6,
    });
  },
  shift: (op, { writes, reads }, { graph, limits }) => {
    const { width } = op.out;
    const given = graph.given(op.out, writes[0]);
    const state = graph.stateGradient(op.state);
    const x = graph.target(op.x, reads[0]);
    if (x.argument !== undefined) {
      graph.add('shift-backward', {
        crossing: [given, state],
        writes: [x.argument],
        arguments: [given, state, x.argument],
        numbers: [width, x.add],
        nanoseconds: width * perNumber * 3,
      });
    }
    graph.add('commit-shift-backward', {
      units: 'sequences',
      reads: [given],
      writes: [state],
      arguments: [given, state],
      numbers: [width],
      nanoseconds: (width * perNumber * limits.sequences) / limits.tokens,
    });
  },
  lerp: (op, { writes, reads, weights }, context) => {
    const { graph } = context;
    const { width, rows } = op.out;
    const inputs = [graph.read(op.x), graph.read(op.y), graph.operand(op.by, width)];
    const given = graph.given(op.out, writes[0]);
    const targets = [
      graph.target(op.x, reads[0]),
      graph.target(op.y, reads[1]),
      isValue(op.by) ? graph.target(op.by, reads[2]) : graph.target(op.x, 'skip'),
    ];
    const sums = sumsFor(op.by, { learns: weights[0], width, rows }, context);
    graph.add('lerp-backward', {
      rows,
      reads: [...inputs, given],
      writes: [...argumentsOf(targets), sums],
      arguments: [...inputs, given, ...argumentsOf(targets), sums],
      numbers: [width, ...additionsOf(targets)],
      nanoseconds: width * perNumber * 9,
    });
    finishSums(op.by, { sums, rows, width }, context);
  },
  matmul: (op, { writes, reads, weights }, { graph }) => {
    const { rows } = op.out;
    const given = graph.given(op.out, writes[0]);
    const x = graph.target(op.x, reads[0]);
    const sizes = [op.x.width, op.out.width];
    if (x.argument !== undefined) {
      graph.add('product', {
        units: 'product',
        rows,
        reads: [given],
        writes: [x.argument],
        arguments: [given, graph.weight(op.weight), x.argument],
        numbers: [1, x.add, ...sizes],
        nanoseconds: 0,
      });
    }
    if (!weights[0]) return;
    const source = graph.read(op.x);
    const gradient = graph.weightGradient(op.weight);
    graph.add('product', {
      units: 'product',
      rows,
      reads: [given, source],
      writes: [gradient],
      arguments: [given, source, gradient],
      numbers: [2, 1, ...sizes],
      nanoseconds: 0,
    });
  },
  'row-matmul': (op, { writes, reads }, { graph }) => {
    const inputs = [graph.read(op.x), graph.read(op.m)];
    const given = graph.given(op.out, writes[0]);
    const targets = [graph.target(op.x, reads[0]), graph.target(op.m, reads[1])];
    graph.add('row-matmul-backward', {
      rows: op.out.rows,
      reads: [...inputs, given],
      writes: argumentsOf(targets),
      arguments: [...inputs, given, ...argumentsOf(targets)],
      numbers: [op.x.width, op.out.width, ...additionsOf(targets)],
      nanoseconds: op.m.width * perNumber * 5,
    });
  },
  add: (op, { writes, reads, weights }, context) => {
    const { graph } = context;
    const { width, rows } = op.out;
    const given = graph.given(op.out, writes[0]);
    const targets = [
      graph.target(op.x, reads[0]),
      isValue(op.y) ? graph.target(op.y, reads[1]) : graph.target(op.x, 'skip'),
    ];
    const sums = sumsFor(op.y, { learns: weights[0], width, rows }, context);
    graph.add('add-backward', {
      rows,
      reads: [given],
      writes: [...argumentsOf(targets), sums],
      arguments: [given, ...argumentsOf(targets), sums],
      numbers: [width, ...additionsOf(targets)],
      nanoseconds: width * perNumber * 4,
    });
    finishSums(op.y, { sums, rows, width }, context);
  },
  mul: (op, { writes, reads, weights }, context) => {
    const { graph } = context;
    const { width, rows } = op.out;
    const inputs = [graph.read(op.x), graph.operand(op.y, width)];
    const given = graph.given(op.out, writes[0]);
    const targets = [
      graph.target(op.x, reads[0]),
      isValue(op.y) ? graph.target(op.y, reads[1]) : graph.target(op.x, 'skip'),
    ];
    const sums = sumsFor(op.y, { learns: weights[0], width, rows }, context);
    graph.add('mul-backward', {
      rows,
      reads: [...inputs, given],
      writes: [...argumentsOf(targets), sums],
      arguments: [...inputs, given, ...argumentsOf(targets), sums],
      numbers: [width, ...additionsOf(targets)],
      nanoseconds: width * perNumber * 6,
    });
    finishSums(op.y, { sums, rows, width }, context);
  },
  scale: (op, { writes, reads }, { graph }) => {
    const given = graph.given(op.out, writes[0]);
    const x = graph.target(op.x, reads[0]);
    graph.add('scale-backward', {
      rows: op.out.rows,
      reads: [given],
      writes: [x.argument],
      arguments: [given, x.argument],
      numbers: [op.out.width, op.factor, x.add],
      nanoseconds: op.out.width * perNumber * 2,
    });
  },
  activate: (op, { writes, reads }, { graph }) => {
    const source = graph.read(fromResult.has(op.activation) ? op.out : op.x);
    const given = graph.given(op.out, writes[0]);
    const x = graph.target(op.x, reads[0]);
    graph.add('activate-backward', {
      rows: op.out.rows,
      reads: [source, given],
      writes: [x.argument],
      arguments: [source, given, x.argument],
      numbers: [op.out.width, activationCode(op.activation), x.add],
      nanoseconds: op.out.width * perNumber * 8,
    });
  },
  slice: (op, { writes, reads }, { graph }) => {
    const given = graph.given(op.out, writes[0]);
    const x = graph.target(op.x, reads[0]);
    graph.add('slice-backward', {
      rows: op.out.rows,
      reads: [given],
      writes: [x.argument],
      arguments: [given, x.argument],
      numbers: [op.out.width, op.x.width, op.start, x.add],
      nanoseconds: op.x.width * perNumber * 2,
    });
  },
  'top-k': () => undefined,
  wkv4: (op, { writes, reads, weights }, { graph, limits }) => {
    const { width } = op.out;
    const inputs = [
      graph.read(op.k),
      graph.read(op.v),
      graph.parameter(op.decay, width),
      graph.parameter(op.first, width),
    ];
    const given = graph.given(op.out, writes[0]);
    const record = graph.record(op.state, wkv4Record(width, limits));
    const targets = [graph.target(op.k, reads[0]), graph.target(op.v, reads[1])];
    const totals = weights.map((learns) => (learns ? graph.buffer('sequences', width) : undefined));
    const state = graph.stateGradient(op.state);
    graph.add('wkv4-backward', {
      units: 'sequence-parts',
      reads: [...inputs, given, record],
      writes: [...argumentsOf(targets), ...totals, state],
      arguments: [...inputs, given, record, ...argumentsOf(targets), ...totals, state],
      numbers: [width, ...additionsOf(targets)],
      nanoseconds: width * 8,
    });
    for (const [index, parameter] of [op.decay, op.first].entries()) {
      finishSums(
        parameter,
        { sums: totals[index], rows: 'T', width },
        { graph, limits, output: op.out },
      );
    }
  },
  wkv6: (op, { writes, reads, weights }, context) => {
    const { graph, limits } = context;
    const { width } = op.out;
    const size = width / op.heads;
    const inputs = [
      ...[op.r, op.k, op.v].map((value) => graph.read(value)),
      graph.operand(op.decay, width),
      graph.parameter(op.first, width),
    ];
    const given = graph.given(op.out, writes[0]);
    const record = graph.record(op.state, wkv6Record({ heads: op.heads, size }, limits));
    const targets = [
      ...[op.r, op.k, op.v].map((value, index) => graph.target(value, reads[index])),
      isValue(op.decay) ? graph.target(op.decay, reads[3]) : graph.target(op.r, 'skip'),
    ];
    const parameters = isValue(op.decay) ? [op.first] : [op.decay, op.first];
    const made = parameters.map((_, index) =>
      weights[index] ? graph.buffer('sequences', width) : undefined,
    );
    const totals = isValue(op.decay) ? [undefined, ...made] : made;
    const state = graph.stateGradient(op.state);
    graph.add('wkv6-backward', {
      units: 'sequence-parts',
      reads: [...inputs, given, record],
      writes: [...argumentsOf(targets), ...totals, state],
      arguments: [...inputs, given, record, ...argumentsOf(targets), ...totals, state],
      numbers: [op.heads, size, ...additionsOf(targets)],
      nanoseconds: 3 * recurrenceCost(width, size),
    });
    for (const [index, parameter] of parameters.entries()) {
      finishSums(parameter, { sums: made[index], rows: 'T', width }, context);
    }
  },
  wkv7: (op, { writes, reads }, { graph, limits }) => {
    const { width } = op.out;
    const size = width / op.heads;
    const values = [op.r, op.w, op.k, op.v, op.a, op.b];
    const inputs = values.map((value) => graph.read(value));
    const given = graph.given(op.out, writes[0]);
    const record = graph.record(op.state, wkv7Record({ heads: op.heads, size }, limits));
    const targets = values.map((value, index) => graph.target(value, reads[index]));
    const state = graph.stateGradient(op.state);
    graph.add('wkv7-backward', {
      units: 'sequence-parts',
      reads: [...inputs, given, record],
      writes: [...argumentsOf(targets), state],
      arguments: [...inputs, given, record, ...argumentsOf(targets), state],
      numbers: [op.heads, size, ...additionsOf(targets)],
      nanoseconds: 3 * recurrenceCost(width, size),
    });
  },
  bonus7: (op, { writes, reads, weights }, context) => {
    const { graph } = context;
    const { width, rows } = op.out;
    const values = [op.r, op.k, op.v];
    const inputs = values.map((value) => graph.read(value));
    const by = graph.parameter(op.by, width);
    const given = graph.given(op.out, writes[0]);
    const targets = values.map((value, index) => graph.target(value, reads[index]));
    const sums = sumsFor(op.by, { learns: weights[0], width, rows }, context);
    graph.add('bonus7-backward', {
      rows,
      reads: [...inputs, by, given],
      writes: [...argumentsOf(targets), sums],
      arguments: [...inputs, by, given, ...argumentsOf(targets), sums],
      numbers: [op.heads, width / op.heads, ...additionsOf(targets)],
      nanoseconds: width * perNumber * 14,
    });
    finishSums(op.by, { sums, rows, width }, context);
  },
};

/** The op was part of the forward pass. */
export function addBackward(step: BackwardStep, context: TrainingContext): void {
  const { op } = step;
  const add = backward[op.kind as TrainingKind] as (
    op: BackwardStep['op'],
    step: BackwardStep,
    context: TrainingContext,
  ) => void;
  add(op, step, context);
}
