/** Checks of the numbers that a training is called with. */
import type { AccumulateOptions, UpdateOptions } from '@rwkv-ts/backend';

/** @throws TypeError for numbers that are not finite */
export function checkAccumulateOptions({
  scale = 1,
  largestLogitPenalty = 0,
}: AccumulateOptions): Required<AccumulateOptions> {
  requireNumber('scale', scale, Number.isFinite(scale));
  requireNumber('largestLogitPenalty', largestLogitPenalty, Number.isFinite(largestLogitPenalty));
  return { scale, largestLogitPenalty };
}

/**
 * Step, learning rate, weight decay, β₁, β₂, epsilon, norm limit, as the addon has them.
 * @throws TypeError for numbers out of range
 */
export function checkUpdateOptions(options: UpdateOptions): Float64Array {
  const { step, learningRate, weightDecay, betas, epsilon } = options;
  const { gradientNormLimit = Infinity } = options;
  requireNumber('step', step, Number.isSafeInteger(step) && step >= 1, 'a positive integer');
  requireNumber('learningRate', learningRate, Number.isFinite(learningRate));
  requireNumber('weightDecay', weightDecay, Number.isFinite(weightDecay));
  for (const [index, beta] of betas.entries()) {
    requireNumber(`betas[${index}]`, beta, beta >= 0 && beta < 1, 'at least 0 and below 1');
  }
  requireNumber('epsilon', epsilon, Number.isFinite(epsilon) && epsilon > 0, 'positive');
  requireNumber('gradientNormLimit', gradientNormLimit, gradientNormLimit > 0, 'positive');
  const [beta1, beta2] = betas;
  return Float64Array.of(step, learningRate, weightDecay, beta1, beta2, epsilon, gradientNormLimit);
}

function requireNumber(name: string, value: number, holds: boolean, what = 'finite'): void {
  if (typeof value === 'number' && holds) return;
  throw new TypeError(`${name} must be ${what}, got ${String(value)}.`);
}
