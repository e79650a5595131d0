/** What only shows at sizes above the other cases': long runs, wide rows, many sequences, heads of other sizes. */
import type { Value } from '@rwkv-ts/backend';
import { uniform } from '../../src/random.js';
import { direction } from '../cases/draws.js';
import { wkv6Parts } from '../cases/wkv6.js';
import { wkv7Parts } from '../cases/wkv7.js';
import { OpScope, tableRows } from '../op-scope.js';
import { tinyModel } from '../tiny-models.js';
import type { Bound } from '../tolerance.js';
import type { CaseContext, CaseDefinition } from '../types.js';
import {
  compareLosses,
  comparePart,
  compareStates,
  openPair,
  type OpenTrainingOptions,
  requireTraining,
  trainingBatchOf,
  trainingLimits,
} from './session.js';
import { modelTrainingBound, trainingBound } from './tolerance.js';

const tokens = (count: number, start: number): number[] =>
  Array.from({ length: count }, (_, t) => (start + 23 * t + ((t * t) % 11)) % tableRows);

interface SizeCase extends OpenTrainingOptions {
  readonly outputs: number;
  /** The lengths of the sequences, in slots from 0. */
  readonly lengths: readonly number[];
  readonly bound: Bound;
  readonly where: string;
}

async function compare(context: CaseContext, options: SizeCase): Promise<void> {
  const { lengths, bound, where, outputs } = options;
  const backend = requireTraining(context, options.program);
  const rows = lengths.reduce((sum, length) => sum + length, 0);
  const limits = { tokens: rows, sequences: lengths.length, wanted: rows, slots: lengths.length };
  await using pair = await openPair(backend, { ...options, limits });
  const sequences = lengths.map((length, slot) => ({ slot, tokens: tokens(length, slot) }));
  const batch = trainingBatchOf(sequences, { outputs });
  const losses = await pair.both(async (training) => {
    const loss = await training.accumulate(batch, { scale: 1 / rows });
    for (const { slot } of sequences) training.collectInitialGradients(slot);
    return [loss];
  });
  compareLosses(losses, { bound, where });
  await compareStates(pair, 0, { bound, where });
  await comparePart(pair, 'gradient', { bound, where });
}

const longRun = (version: '4' | '5.2' | '6' | '7') => (context: CaseContext) =>
  compare(context, {
    ...tinyModel(version),
    outputs: 61,
    lengths: [257, 40, 3],
    bound: modelTrainingBound(context.backend.supports),
    where: '300 tokens',
  });

/** More sequences than there are tokens in most. */
const manySequences = (context: CaseContext): Promise<void> =>
  compare(context, {
    ...tinyModel('7'),
    outputs: 61,
    lengths: Array.from({ length: 75 }, (_, s) => 1 + (s % 4)),
    bound: modelTrainingBound(context.backend.supports),
    where: '75 sequences',
  });

const matrix =
  ({ inputs, outputs, rows }: { inputs: number; outputs: number; rows: number }) =>
  (context: CaseContext): Promise<void> => {
    const scope = new OpScope({ seed: 41 });
    const [x, out] = [scope.input(inputs), scope.value(outputs)];
    scope.emit({ kind: 'matmul', out, x, weight: scope.matrix(outputs, inputs) });
    return compare(context, {
      program: scope.program(out),
      weights: scope.hostWeights,
      outputs,
      lengths: [rows],
      bound: trainingBound('matmul', context.backend.supports),
      where: `a matrix [${outputs}, ${inputs}] over ${rows} rows`,
    });
  };

const headSizes = [1, 2, 12, 24, 48, 96] as const;

async function heads(
  context: CaseContext,
  {
    kind,
    emit,
  }: {
    readonly kind: 'wkv6' | 'wkv7' | 'bonus7' | 'l2-norm' | 'norm';
    readonly emit: (scope: OpScope, size: number) => Value;
  },
): Promise<void> {
  for (const size of headSizes) {
    // A vector of one number has a gradient of zero on paper: nothing to compare with.
    if (kind === 'l2-norm' && size === 1) continue;
    const scope = new OpScope({ seed: 43 });
    const out = emit(scope, size);
    const logits = scope.value(out.width);
    scope.emit({ kind: 'scale', out: logits, x: out, factor: 0.1 });
    await compare(context, {
      program: scope.program(logits),
      weights: scope.hostWeights,
      outputs: out.width,
      lengths: [19, 2, trainingLimits.tokens],
      bound: trainingBound(kind, context.backend.supports),
      where: `${kind}, heads of ${size}`,
    });
  }
}

const headCases: Readonly<Record<string, (context: CaseContext) => Promise<void>>> = {
  wkv6: (context) =>
    heads(context, {
      kind: 'wkv6',
      emit: (scope, size) => {
        const decay = scope.input(2 * size, uniform(0.5, 1));
        const parts = wkv6Parts(scope, { heads: 2, size, decay });
        scope.emit({ kind: 'wkv6', ...parts });
        return parts.out;
      },
    }),
  wkv7: (context) =>
    heads(context, {
      kind: 'wkv7',
      emit: (scope, size) => {
        // In a head of one number a removal has to be short for the state not to grow.
        const a = scope.input(2 * size, direction(4 * size));
        const parts = wkv7Parts(scope, { heads: 2, size, a });
        scope.emit({ kind: 'wkv7', ...parts });
        return parts.out;
      },
    }),
  bonus7: (context) =>
    heads(context, {
      kind: 'bonus7',
      emit: (scope, size) => {
        const [r, k, v] = [scope.input(2 * size), scope.input(2 * size), scope.input(2 * size)];
        const [out, by] = [scope.value(2 * size), scope.parameter([2, size], uniform(-1, 1))];
        scope.emit({ kind: 'bonus7', out, r, k, v, by, heads: 2 });
        return out;
      },
    }),
  norm: (context) =>
    heads(context, {
      kind: 'norm',
      emit: (scope, size) => {
        const [x, out] = [scope.input(3 * size), scope.value(3 * size)];
        scope.emit({ kind: 'norm', out, x, ...scope.norm(3 * size, { groups: 3, eps: 64e-5 }) });
        return out;
      },
    }),
  'l2-norm': (context) =>
    heads(context, {
      kind: 'l2-norm',
      emit: (scope, size) => {
        const [x, out] = [scope.input(3 * size), scope.value(3 * size)];
        scope.emit({ kind: 'l2-norm', out, x, groups: 3, eps: 1e-12 });
        return out;
      },
    }),
};

export const trainingSizeCases: readonly CaseDefinition[] = [
  ...(['4', '5.2', '6', '7'] as const).map((version) => ({
    name: `RWKV-${version}: 300 tokens in sequences of 257, 40 and 3`,
    run: longRun(version),
  })),
  { name: 'RWKV-7: 75 sequences', run: manySequences },
  {
    name: 'a matrix over several tiles in every direction',
    run: matrix({ inputs: 260, outputs: 301, rows: 131 }),
  },
  { name: 'a softmax over 4,099 columns', run: matrix({ inputs: 33, outputs: 4099, rows: 9 }) },
  ...Object.entries(headCases).map(([kind, run]) => ({
    name: `${kind}: heads of ${headSizes.join(', ')}`,
    run,
  })),
];
