/** Every op kind that a backend trains, as programs of one op: losses, gradients of everything, gradients across a cut. */
import type { OpKind, Program, Value } from '@rwkv-ts/backend';
import { Random } from '../../src/random.js';
import { opCaseTable } from '../cases/index.js';
import type { OpVariant } from '../cases/types.js';
import { OpScope, tableRows } from '../op-scope.js';
import { openOracle } from '../session.js';
import { batchOf } from '../batches.js';
import type { CaseContext, CaseDefinition } from '../types.js';
import { accumulateChunks } from './chunks.js';
import {
  compareLosses,
  comparePart,
  compareStates,
  openPair,
  requireTraining,
  trainingBatchOf,
} from './session.js';
import { trainingBound } from './tolerance.js';

const random = new Random(13, 'training batches');
const ids = (count: number) => Array.from({ length: count }, () => random.integer(tableRows));
const first = [
  { slot: 3, tokens: ids(33) },
  { slot: 0, tokens: ids(1) },
  { slot: 2, tokens: ids(6) },
];
const second = [
  { slot: 0, tokens: ids(20) },
  { slot: 3, tokens: ids(2) },
  { slot: 2, tokens: ids(9) },
];

/** About how large the op's numbers become; logits should be near 1, where a softmax passes gradients to all. */
async function largestOutput(options: Built): Promise<number> {
  await using oracle = await openOracle(options);
  const rows = await oracle.run(batchOf(first));
  let largest = 0;
  for (const number of rows) largest = Math.max(largest, Math.abs(number));
  return largest;
}

interface Built {
  readonly program: Program;
  readonly weights: OpScope['hostWeights'];
}

function build(variant: OpVariant, index: number, factor = 1): Built & { readonly value: Value } {
  const scope = new OpScope({ seed: 11 });
  const value = variant.build(scope)[index]!;
  const logits = scope.value(value.width, value.rows);
  scope.emit({ kind: 'scale', out: logits, x: value, factor });
  return { program: scope.program(logits), weights: scope.hostWeights, value };
}

async function runVariant(
  context: CaseContext,
  { kind, variant }: { readonly kind: OpKind; readonly variant: OpVariant },
): Promise<void> {
  const { supports } = context.backend;
  if (context.backend.createTraining && !supports.trainingOps?.has(kind)) {
    context.skip(`supports.trainingOps does not claim ${kind}`);
  }
  const outputs = variant.build(new OpScope({ seed: 11 })).length;
  for (let index = 0; index < outputs; index++) {
    const plain = build(variant, index);
    const backend = requireTraining(context, plain.program);
    const { value, ...built } = build(variant, index, 2 / ((await largestOutput(plain)) || 1));
    const bound = trainingBound(kind, supports, variant.slack);
    const where = `${kind}, output ${index}`;
    await using pair = await openPair(backend, built);
    const outputsOf = { outputs: value.width };
    const chunks = {
      first: trainingBatchOf(first, { ...outputsOf, weighted: true }),
      second: trainingBatchOf(second, { ...outputsOf, wanted: [0, 3, 4, 21, 30] }),
    };
    const losses = await pair.both((training) =>
      accumulateChunks(training, chunks, { scale: 0.125 }),
    );
    compareLosses(losses, { bound, where });
    for (const { slot } of first) await compareStates(pair, slot, { bound, where });
    await comparePart(pair, 'gradient', { bound, where });
  }
}

export const opTrainingCases: readonly CaseDefinition[] = Object.values(opCaseTable)
  .filter(({ kind }) => kind !== 'top-k')
  .flatMap(({ kind, variants }) =>
    variants.map((variant) => ({
      name: `${kind}: ${variant.name}`,
      run: (context: CaseContext) => runVariant(context, { kind, variant }),
    })),
  );
