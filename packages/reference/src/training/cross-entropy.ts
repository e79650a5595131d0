import type { AccumulateOptions, TrainingBatch } from '@rwkv-ts/backend';
import type { Numbers } from '../numbers.js';

export interface CrossEntropyOptions extends AccumulateOptions {
  /** [R, width] */
  readonly logits: Numbers;
  readonly width: number;
  /** [R, width], to be assigned; where there is none only the loss is wanted. */
  readonly gradient?: Numbers | undefined;
}

/**
 * The loss Σ_r weight_r (log Σ_c exp(logits_rc) - logits_r,target), and its gradient times `scale`:
 *
 *     dlogits_rc = scale weight_r (softmax(logits_r)_c - [c is the target])
 *
 * plus scale · weight_r · largestLogitPenalty · max(logits_r) at the first largest logit, of which the loss does not know
 * (`L2Wrap` in RWKV-LM).
 */
export function crossEntropy(
  { wanted, targets, lossWeights }: TrainingBatch,
  { logits, width, gradient, scale = 1, largestLogitPenalty = 0 }: CrossEntropyOptions,
): number {
  let loss = 0;
  for (let r = 0; r < wanted.length; r++) {
    const row = r * width;
    const weight = lossWeights?.[r] ?? 1;
    let largest = row;
    for (let at = row + 1; at < row + width; at++) if (logits[at]! > logits[largest]!) largest = at;
    const top = logits[largest]!;
    let sum = 0;
    for (let at = row; at < row + width; at++) sum += Math.exp(logits[at]! - top);
    const target = row + targets[r]!;
    loss += weight * (top - logits[target]! + Math.log(sum));
    if (!gradient) continue;
    const factor = scale * weight;
    for (let at = row; at < row + width; at++) {
      const hit = at === target ? 1 : 0;
      const push = at === largest ? largestLogitPenalty * top : 0;
      gradient[at] = factor * (Math.exp(logits[at]! - top) / sum - hit + push);
    }
  }
  return loss;
}
