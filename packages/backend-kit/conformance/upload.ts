/** Part of group `lifecycle`: the program that weights are uploaded for is a hint, and nothing else. */
import { assertClose } from './assert.js';
import { batchOf } from './batches.js';
import { OpScope, tableRows } from './op-scope.js';
import { handOver, openLowered, openOracle, unclaimedKinds } from './session.js';
import { tinyModel } from './tiny-models.js';
import { logitsBound, opBound } from './tolerance.js';
import type { CaseContext, CaseDefinition } from './types.js';

/** Shapes for which layouts may differ: a batch of several tokens, then single ones. */
const steps = [
  batchOf([{ slot: 1, tokens: [3, 1, 4, 1, 5, 9, 2] }]),
  batchOf([{ slot: 1, tokens: [6] }]),
  batchOf([{ slot: 1, tokens: [7] }]),
];

async function withoutHint(context: CaseContext, version: '4' | '7'): Promise<void> {
  const model = tinyModel(version);
  const missing = unclaimedKinds(context.backend, model.program);
  if (missing.length > 0) context.skip(`RWKV-${version} needs ${missing.join(', ')}`);
  const { backend } = context;
  await using hinted = await openLowered(backend, model);
  const limits = { tokens: 8, sequences: 2, wanted: 8 };
  await using weights = await backend.upload(handOver(model.weights));
  await using states = await backend.createStates(hinted.program.states, 2);
  await using plain = await backend.compile(hinted.program, { weights, states }, limits);
  for (const [index, step] of steps.entries()) {
    assertClose({
      got: await plain.run(step),
      want: await hinted.run(step),
      width: model.config.vocabularySize,
      bound: logitsBound(backend.supports),
      where: `step ${index} with weights uploaded for no program`,
    });
  }
}

/** A matrix that one program multiplies by what relu2 left is another's table and ordinary matrix. */
async function otherProgram({ backend, skip }: CaseContext): Promise<void> {
  const scope = new OpScope({ seed: 61 });
  const x = scope.input(48);
  const [hidden, out] = [scope.value(tableRows), scope.value(40)];
  scope.emit({
    kind: 'linear',
    out: hidden,
    x,
    weight: scope.matrix(tableRows, 48),
    activation: 'relu2',
  });
  const shared = scope.matrix(40, tableRows);
  scope.emit({ kind: 'matmul', out, x: hidden, weight: shared });
  const first = { program: scope.program(out), weights: scope.hostWeights };

  const other = new OpScope({ seed: 62 });
  const rows = other.value(tableRows);
  other.weights.push({ name: shared, shape: [40, tableRows] });
  other.emit({ kind: 'embed', out: rows, table: shared, by: 'token' });
  const product = other.value(40);
  other.emit({ kind: 'matmul', out: product, x: rows, weight: shared });
  const second = { program: other.program(product), weights: scope.hostWeights };

  for (const { program } of [first, second]) {
    const missing = unclaimedKinds(backend, program);
    if (missing.length > 0) skip(`supports.ops does not claim ${missing.join(', ')}`);
  }
  await using session = await openLowered(backend, first);
  await using states = await backend.createStates([], 1);
  const limits = { tokens: 8, sequences: 1, wanted: 8 };
  const bindings = { weights: session.weights, states };
  await using executable = await backend.compile(second.program, bindings, limits);
  await using oracle = await openOracle(second);
  for (const tokens of [[5], [0, 39, 7, 8, 9]]) {
    const batch = batchOf([{ slot: 0, tokens }]);
    assertClose({
      got: await executable.run(batch),
      want: await oracle.run(batch),
      width: 40,
      bound: opBound('matmul', backend.supports),
      where: `another program on the same weights, T = ${tokens.length}`,
    });
  }
}

export const uploadCases: readonly CaseDefinition[] = [
  ...(['4', '7'] as const).map((version) => ({
    name: `RWKV-${version}: weights uploaded for a program, or for none, are the same weights`,
    run: (context: CaseContext) => withoutHint(context, version),
  })),
  { name: 'weights uploaded for one program serve another', run: otherProgram },
];
