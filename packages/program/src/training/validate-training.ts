/** Checks what a training is made from and runs on, before anything happens. */
import {
  type AccumulateOptions,
  BackendError,
  type Limits,
  type Program,
  type TrainingBatch,
  type TrainingOptions,
  type UpdateOptions,
} from '@rwkv-ts/backend';
import { batchBounds, validateBatch } from '../validate-batch.js';
import { validateLimits } from '../validate-limits.js';

/**
 * @throws TypeError for names that the program lacks or that come twice, factors that are not finite and not negative, and
 * limits that are not positive integers (`wanted` may be 0)
 */
export function validateTrainingOptions(
  program: Program,
  { trainable, limits }: TrainingOptions,
): void {
  validateLimits(limits);
  if (!Number.isSafeInteger(limits.slots) || limits.slots < 1) {
    throw new TypeError(`limits.slots must be a positive integer, got ${limits.slots}.`);
  }
  const known = {
    weight: new Set(program.weights.map(({ name }) => name)),
    'initial-state': new Set(program.states.map(({ name }) => name)),
  };
  const seen = new Set<string>();
  for (const { kind, name, learningRateFactor = 1, weightDecayFactor = 0 } of trainable) {
    if (!Object.hasOwn(known, kind)) {
      throw new TypeError(`A trainable is a weight or an initial-state, got ${kind as string}.`);
    }
    if (!known[kind].has(name)) throw new TypeError(`The program has no ${kind} ${name} to train.`);
    if (seen.has(name)) throw new TypeError(`${name} is named twice among the trainable ones.`);
    seen.add(name);
    for (const factor of [learningRateFactor, weightDecayFactor]) {
      if (Number.isFinite(factor) && factor >= 0) continue;
      throw new TypeError(`The factors of ${name} must be finite and not negative, got ${factor}.`);
    }
  }
}

export interface TrainingBatchContext {
  readonly program: Program;
  readonly limits: Limits & { readonly slots: number };
}

/**
 * @throws BackendError `BATCH_INVALID` with `expected` and `got`
 * @throws TypeError when a field is not the typed array the contract names
 */
export function validateTrainingBatch(
  batch: TrainingBatch,
  { program, limits }: TrainingBatchContext,
): void {
  const { targets, lossWeights, wanted } = batch;
  const { tokens, starts, slots } = batch;
  validateBatch({ tokens, starts, slots, wanted }, limits, {
    ...batchBounds(program),
    slots: limits.slots,
    embeddings: false,
  });
  if (!(targets instanceof Uint32Array))
    throw new TypeError('batch.targets must be a Uint32Array.');
  checkLength('batch.targets', targets.length, wanted.length);
  const { width } = program.output;
  for (const [row, target] of targets.entries()) {
    if (target >= width)
      fail(`batch.targets[${row}]`, `below ${width}, the output's width`, target);
  }
  if (lossWeights === undefined) return;
  if (!(lossWeights instanceof Float32Array)) {
    throw new TypeError('batch.lossWeights must be a Float32Array.');
  }
  checkLength('batch.lossWeights', lossWeights.length, wanted.length);
  for (const [row, weight] of lossWeights.entries()) {
    if (Number.isFinite(weight) && weight >= 0) continue;
    fail(`batch.lossWeights[${row}]`, 'finite and not negative', weight);
  }
}

/** @throws TypeError for a scale that is not finite, or a penalty that is not finite and not negative */
export function validateAccumulateOptions(options: AccumulateOptions): void {
  const { scale = 1, largestLogitPenalty = 0 } = options;
  if (!Number.isFinite(scale)) throw new TypeError(`scale must be finite, got ${scale}.`);
  requireNumber('largestLogitPenalty', largestLogitPenalty, atLeastZero);
}

/** @throws TypeError for numbers outside the ranges in which the formula means something */
export function validateUpdateOptions(options: UpdateOptions): void {
  const { step, learningRate, weightDecay, betas, epsilon, gradientNormLimit } = options;
  if (!Number.isSafeInteger(step) || step < 1) {
    throw new TypeError(`step must be an integer from 1, got ${step}.`);
  }
  requireNumber('learningRate', learningRate, atLeastZero);
  requireNumber('weightDecay', weightDecay, atLeastZero);
  for (const index of [0, 1] as const) {
    requireNumber(`betas[${index}]`, betas[index], {
      holds: (beta) => beta >= 0 && beta < 1,
      expected: 'from 0 to below 1',
    });
  }
  requireNumber('epsilon', epsilon, positive);
  if (gradientNormLimit !== undefined) {
    requireNumber('gradientNormLimit', gradientNormLimit, positive);
  }
}

interface Range {
  readonly holds: (value: number) => boolean;
  readonly expected: string;
}
const atLeastZero: Range = { holds: (value) => value >= 0, expected: 'finite and not negative' };
const positive: Range = { holds: (value) => value > 0, expected: 'finite and positive' };

function requireNumber(name: string, value: number, { holds, expected }: Range): void {
  if (Number.isFinite(value) && holds(value)) return;
  throw new TypeError(`${name} must be ${expected}, got ${value}.`);
}

function checkLength(what: string, got: number, expected: number): void {
  if (got !== expected) fail(`${what}.length`, `${expected}, the number of wanted rows`, got);
}

function fail(what: string, expected: unknown, got: unknown): never {
  throw new BackendError({
    code: 'BATCH_INVALID',
    message: `${what} must be ${String(expected)}, got ${String(got)}.`,
    expected,
    got,
  });
}
