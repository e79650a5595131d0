import { optionInvalid, requireFinite, requireInteger } from '../errors.js';

export interface LearningRateSchedule {
  /** After the warm-up, before the decay. */
  readonly peak: number;
  /** Where the decay ends; default a tenth of `peak`. */
  readonly final?: number | undefined;
  /** Updates during which the rate rises from a hundredth of itself; default 10. */
  readonly warmupSteps?: number | undefined;
  /** `cosine` (default) and `linear` fall from `peak` to `final` between warm-up and last update; `constant` stays. */
  readonly decay?: 'cosine' | 'linear' | 'constant' | undefined;
}

/** @throws TrainError `OPTION_INVALID` */
export function validateSchedule({
  peak,
  final,
  warmupSteps = 0,
  decay,
}: LearningRateSchedule): void {
  requireFinite('learningRate.peak', peak, 0);
  if (final !== undefined) requireFinite('learningRate.final', final, 0);
  requireInteger('learningRate.warmupSteps', warmupSteps, 0);
  if (decay !== undefined && !['cosine', 'linear', 'constant'].includes(decay)) {
    throw optionInvalid('learningRate.decay', 'cosine, linear or constant', decay);
  }
}

/**
 * The rate of update `step` of `steps`, counted from 0. It depends on nothing else, so a run that goes on goes on exactly.
 * As the official trainer has it: with p from 0 to 1 after the warm-up, cosine is final + (peak - final)(1 + cos πp) / 2,
 * and the warm-up multiplies by 0.01 + 0.99 step / warmupSteps. (RWKV-LM, RWKV-v7/train_temp/src/trainer.py.)
 */
export function learningRateAt(
  schedule: LearningRateSchedule,
  { step, steps }: { readonly step: number; readonly steps: number },
): number {
  const { peak, final = peak / 10, warmupSteps = 10, decay = 'cosine' } = schedule;
  const span = Math.max(steps - warmupSteps, 1);
  const progress = Math.min(Math.max((step - warmupSteps) / span, 0), 1);
  const shares = {
    cosine: (1 + Math.cos(Math.PI * progress)) / 2,
    linear: 1 - progress,
    constant: 1,
  };
  const rate = final + (peak - final) * shares[decay];
  return step < warmupSteps ? rate * (0.01 + (0.99 * step) / warmupSteps) : rate;
}
