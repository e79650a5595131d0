import type { TrainablePart, TrainableSpec, UpdateOptions } from '@rwkv-ts/backend';
import type { Holding } from '../memory.js';
import { bytesPerNumber, createNumbers, type Numbers, type Precision } from '../numbers.js';
import type { StateBlock } from '../state-blocks.js';
import type { ReferenceWeights } from '../weights.js';

/** What learns: its numbers, and what the optimiser keeps of them. */
export interface Trainable extends Readonly<Record<TrainablePart, Numbers>> {
  readonly spec: TrainableSpec;
}

/** What `createTrainables` needs of a training. */
export interface TrainablesOptions {
  readonly trainable: readonly TrainableSpec[];
  readonly weights: ReferenceWeights;
  readonly precision: Precision;
}

/**
 * By name. The numbers of a weight are those that the ops read; an initial state starts as the program says, which is what
 * slot 0 of `states` holds. Gradients and moments are zero.
 */
export function createTrainables(
  { trainable, weights, precision }: TrainablesOptions,
  { states, holding }: { readonly states: readonly StateBlock[]; readonly holding: Holding },
): ReadonlyMap<string, Trainable> {
  const create = (spec: TrainableSpec): Trainable => {
    const source =
      spec.kind === 'weight'
        ? weights.get(spec.name)!.values
        : initialNumbers(states.find((block) => block.spec.name === spec.name)!);
    const numbers = (what: string): Numbers =>
      holding.allocate(
        { bytes: source.length * bytesPerNumber[precision], what: `The ${what} of ${spec.name}` },
        () => createNumbers(precision, source.length),
      );
    const value = spec.kind === 'weight' ? source : numbers('initial numbers');
    if (value !== source) value.set(source);
    return {
      spec: { ...spec },
      value,
      gradient: numbers('gradient'),
      'first-moment': numbers('first moment'),
      'second-moment': numbers('second moment'),
    };
  };
  return new Map(trainable.map((spec) => [spec.name, create(spec)]));
}

const initialNumbers = ({ values, size }: StateBlock): Numbers => values.subarray(0, size);

/** Σ g², in double. */
export function squaredNorm(gradient: Numbers): number {
  let sum = 0;
  for (const number of gradient) sum += number * number;
  return sum;
}

/**
 * One step of AdamW (the formula is `UpdateOptions`'), the gradient first multiplied by `gradientScale`; then that is
 * zero. Computed in double, stored in the backend's precision.
 */
export function updateTrainable(
  trainable: Trainable,
  options: UpdateOptions & { readonly gradientScale: number },
): void {
  const { value, gradient, spec } = trainable;
  const first = trainable['first-moment'];
  const second = trainable['second-moment'];
  const { step, epsilon, gradientScale } = options;
  const [beta1, beta2] = options.betas;
  const rate = options.learningRate * (spec.learningRateFactor ?? 1);
  const kept = 1 - rate * options.weightDecay * (spec.weightDecayFactor ?? 0);
  const correction1 = 1 - beta1 ** step;
  const correction2 = 1 - beta2 ** step;
  for (let at = 0; at < value.length; at++) {
    const g = gradient[at]! * gradientScale;
    first[at] = beta1 * first[at]! + (1 - beta1) * g;
    second[at] = beta2 * second[at]! + (1 - beta2) * g * g;
    const size = Math.sqrt(second[at]! / correction2) + epsilon;
    value[at] = value[at]! * kept - (rate * (first[at]! / correction1)) / size;
  }
  gradient.fill(0);
}
