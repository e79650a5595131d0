/** Weights of every claimed format, frozen and trainable. */
import type { WeightFormat } from '@rwkv-ts/backend';
import { decode, encode, formatInfo, formatNames, isWeightFormat } from '@rwkv-ts/formats';
import { assertSame } from '../assert.js';
import { OpScope } from '../op-scope.js';
import type { Bound } from '../tolerance.js';
import type { CaseContext, CaseDefinition } from '../types.js';
import {
  compareLosses,
  comparePart,
  openPair,
  requireTraining,
  trainingBatchOf,
} from './session.js';
import { trainingBound } from './tolerance.js';

const sequences = [{ slot: 0, tokens: [5, 6, 7, 8, 9, 10, 11] }];

/** What a backend may lose that rounds activations of frozen products, as `quantisation.ts` allows for the forward. */
function frozenBound({ backend }: CaseContext, format: WeightFormat): Bound {
  const bound = trainingBound('matmul', backend.supports);
  const isRounded = (backend.supports.roundedProducts as ReadonlySet<string> | undefined)?.has(
    format,
  );
  if (formatInfo(format).blockSize > 1 || isRounded) return { ...bound, relative: 3e-2 };
  return bound;
}

async function oneFormat(context: CaseContext, format: WeightFormat): Promise<void> {
  const inputs = formatInfo(format).blockSize === 256 ? 256 : 64;
  const scope = new OpScope({ seed: 17, format });
  const [x, hidden, out] = [scope.input(inputs), scope.value(inputs), scope.value(43)];
  const table = scope.weights.at(-1)!.name;
  const learns = scope.matrix(inputs, inputs);
  scope.emit({ kind: 'matmul', out: hidden, x, weight: learns });
  scope.emit({ kind: 'matmul', out, x: hidden, weight: scope.matrix(43, inputs) });
  const options = {
    program: scope.program(out),
    weights: scope.hostWeights,
    trainable: [table, learns].map((name) => ({ kind: 'weight', name }) as const),
  };
  const backend = requireTraining(context, options.program);
  if (!backend.supports.weightFormats.has(format)) {
    context.skip(`supports.weightFormats does not claim ${format}`);
  }
  await using pair = await openPair(backend, options);
  const { bytes } = options.weights.find(({ name }) => name === learns)!;
  assertSame(
    Float64Array.from(await pair.device.read(learns, 'value')),
    Float64Array.from(decode(format, bytes)),
    `a trainable ${format} matrix, in full precision`,
  );
  const batch = trainingBatchOf(sequences, { outputs: 43 });
  const comparison = { bound: frozenBound(context, format), where: format };
  const losses = await pair.both(async (training) => [await training.accumulate(batch)]);
  compareLosses(losses, comparison);
  await comparePart(pair, 'gradient', comparison);
}

/** Vectors and tables may come in any format too, and learn in full precision. */
async function halfVectors(context: CaseContext): Promise<void> {
  const scope = new OpScope({ seed: 19, vectorFormat: 'f16' });
  const [x, out] = [scope.input(24), scope.value(24)];
  scope.emit({ kind: 'norm', out, x, ...scope.norm(24) });
  const weights = scope.hostWeights.map((weight) =>
    weight.shape.length === 2
      ? { ...weight, format: 'f16' as const, bytes: encode('f16', decode('f32', weight.bytes)) }
      : weight,
  );
  const options = { program: scope.program(out), weights };
  const backend = requireTraining(context, options.program);
  if (!backend.supports.weightFormats.has('f16')) context.skip('weightFormats does not claim f16');
  await using pair = await openPair(backend, options);
  const batch = trainingBatchOf(sequences, { outputs: 24 });
  const comparison = { bound: trainingBound('norm', backend.supports), where: 'f16' };
  const losses = await pair.both(async (training) => [await training.accumulate(batch)]);
  compareLosses(losses, comparison);
  await comparePart(pair, 'gradient', comparison);
}

export const formatTrainingCases: readonly CaseDefinition[] = [
  ...formatNames.filter(isWeightFormat).map((format) => ({
    name: `${format}: a trainable matrix before a frozen one`,
    run: (context: CaseContext) => oneFormat(context, format),
  })),
  { name: 'f16: a table and vectors that learn', run: halfVectors },
];
