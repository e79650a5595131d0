/** Which weights learn, how fast, and which decay: RWKV's parameter groups, after the official trainers. */
import type { Program, TrainableSpec } from '@rwkv-ts/backend';
import { canonicalWeights, type RwkvConfig } from '@rwkv-ts/model';

/** Official files store these factors without `.weight`, which is how the trainers tell them from the large matrices. */
const lowRankFactor =
  /\.(?:att\.(?:[wavg][12]|time_maa_w1|time_maa_w2\.[wkvrg]|time_decay_w[12])|ffn\.s[12])\.weight$/;

function learningRateFactor(name: string, config: RwkvConfig): number {
  if (name.endsWith('.att.w0') || name.endsWith('.att.time_decay')) return 2;
  if (name.endsWith('.att.time_first')) return 3;
  // The first v5 calls its bonus time_first, as v4 does.
  const isTimeFirst = 'bonusForm' in config && config.bonusForm === 'exp';
  return isTimeFirst && name.endsWith('.att.time_faaaa') ? 3 : 1;
}

function decays(name: string, shape: readonly number[]): boolean {
  const large = shape.filter((size) => size > 1).length >= 2;
  return large && name.endsWith('.weight') && !lowRankFactor.test(name);
}

/**
 * Every weight of the model: w0 (v7) and time_decay (v4 to v6) learn at twice the rate, time_first (v4, v5.0) at three
 * times; weight decay is for the large matrices alone, the embedding and the head among them. Source: RWKV-LM,
 * `configure_optimizers` of RWKV-v4neo, RWKV-v5 (layerwise_lr 1) and RWKV-v7/train_temp.
 */
export function parameterGroups(config: RwkvConfig): readonly TrainableSpec[] {
  return canonicalWeights(config).map(({ name, shape }) => ({
    kind: 'weight',
    name,
    learningRateFactor: learningRateFactor(name, config),
    weightDecayFactor: decays(name, shape) ? 1 : 0,
  }));
}

/** The initial matrix states of the program, for state tuning; they decay where the caller's weight decay is above 0. */
export function stateGroup(program: Program): readonly TrainableSpec[] {
  return program.states
    .filter(({ name }) => name.endsWith('.att.wkv'))
    .map(({ name }) => ({ kind: 'initial-state', name, weightDecayFactor: 1 }));
}
