/** Group `models`: whole tiny models of every version against the reference, and 64 greedy tokens. */
import type { Backend, Rows } from '@rwkv-ts/backend';
import { assertClose, check, equal } from './assert.js';
import { batchOf } from './batches.js';
import { openLowered, openOracle, type Session, unclaimedKinds } from './session.js';
import { logitsBound } from './tolerance.js';
import { type TinyModel, tinyModel, tinyVersions } from './tiny-models.js';
import type { CaseContext, CaseDefinition } from './types.js';

export const greedyTokens = 64;

/** The index of the largest logit, and how far the next one is behind, as a part of the largest magnitude. */
export function decide(logits: Rows): { token: number; margin: number } {
  let [token, second, scale] = [0, -1, 0];
  for (let v = 0; v < logits.length; v++) {
    scale = Math.max(scale, Math.abs(logits[v]!));
    if (v === token) continue;
    if (logits[v]! > logits[token]!) [token, second] = [v, token];
    else if (second < 0 || logits[v]! > logits[second]!) second = v;
  }
  return { token, margin: (logits[token]! - logits[second]!) / scale };
}

export interface GreedyStep {
  readonly logits: Rows;
  readonly token: number;
  readonly margin: number;
}

/** Prompt at once, then one token after the other, each the best of the step before. */
export async function generateGreedily(
  session: Session,
  { prompt }: Pick<TinyModel, 'prompt'>,
  count = greedyTokens,
): Promise<GreedyStep[]> {
  const steps: GreedyStep[] = [];
  let tokens = prompt;
  for (let index = 0; index < count; index++) {
    const logits = await session.run(batchOf([{ slot: 1, tokens }], 'last'));
    const step = { logits, ...decide(logits) };
    steps.push(step);
    tokens = [step.token];
  }
  return steps;
}

function requireClaims(backend: Backend, model: TinyModel, skip: CaseContext['skip']): void {
  const missing = unclaimedKinds(backend, model.program);
  if (missing.length > 0) skip(`RWKV-${model.version} needs ${missing.join(', ')}`);
}

async function compareLogits({ backend, skip }: CaseContext, model: TinyModel): Promise<void> {
  requireClaims(backend, model, skip);
  await using device = await openLowered(backend, model);
  await using oracle = await openOracle(model);
  const { vocabularySize } = model.config;
  const long = Array.from({ length: 33 }, (_, t) => (7 * t + 5) % vocabularySize);
  const batches = [
    batchOf([{ slot: 0, tokens: long }]),
    batchOf([
      { slot: 2, tokens: long.slice(3, 12) },
      { slot: 0, tokens: [vocabularySize - 1] },
      { slot: 1, tokens: [0, 0] },
    ]),
  ];
  for (const [index, batch] of batches.entries()) {
    assertClose({
      got: await device.run(batch),
      want: await oracle.run(batch),
      width: vocabularySize,
      bound: logitsBound(backend.supports),
      where: `logits of batch ${index}`,
    });
  }
}

async function compareGreedy({ backend, skip }: CaseContext, model: TinyModel): Promise<void> {
  requireClaims(backend, model, skip);
  await using device = await openLowered(backend, model);
  await using oracle = await openOracle(model);
  const want = await generateGreedily(oracle, model);
  // The case is only fair where rounding within the bound, in opposite directions, cannot turn a decision.
  const margin = Math.min(...want.map((step) => step.margin));
  check(
    margin > 2 * logitsBound(backend.supports).relative,
    `the kit's own model RWKV-${model.version} decides too narrowly: ${margin}`,
  );
  const got = await generateGreedily(device, model);
  for (const [index, step] of want.entries()) {
    equal(got[index]?.token, step.token, `greedy token ${index} of RWKV-${model.version}`);
  }
}

export const modelCases: readonly CaseDefinition[] = tinyVersions.flatMap((version) => [
  {
    name: `RWKV-${version}: logits`,
    run: (context: CaseContext) => compareLogits(context, tinyModel(version)),
  },
  {
    name: `RWKV-${version}: ${greedyTokens} greedy tokens`,
    run: (context: CaseContext) => compareGreedy(context, tinyModel(version)),
  },
]);
