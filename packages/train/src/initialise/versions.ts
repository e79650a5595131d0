/**
 * How each version starts, after its official trainer in RWKV-LM: RWKV-v4neo (v4, v5.0, v5.1), RWKV-v5 (v5.2, v6) and
 * RWKV-v7/train_temp (v7). Matrices are orthogonal, but those at the end of a branch are zero, so that every layer starts
 * as the identity. Letters as in ARCHITECTURE.md.
 */
import type { RwkvConfig } from '@rwkv-ts/model';
import { TrainError } from '../errors.js';
import { power } from './elementary.js';
import { orthogonal } from './orthogonal.js';
import {
  constant,
  depth,
  elementwise,
  fall,
  height,
  type Place,
  position,
  ramp,
  type Rule,
  type Rules,
  threefold,
  uniform,
} from './rules.js';

/** Orthogonal, [out, in]. */
const matrix =
  (gain: number): Rule =>
  ([rows = 1, columns = 1], _, random) =>
    orthogonal({ rows, columns, gain, random: random() });

/** √(out / in) where the matrix widens, so that an input of unit variance keeps it; 1 elsewhere. */
const widening = (out: number, width: number): number => (out > width ? Math.sqrt(out / width) : 1);

const widenedMatrix =
  (gain: number): Rule =>
  ([rows = 1, columns = 1], _, random) =>
    orthogonal({ rows, columns, gain: gain * widening(rows, columns), random: random() });

/** The second factor of a low-rank pair; its official orientation, which the gain goes by, is [D, C]. */
const lowRankUp: Rule = ([rows = 1, columns = 1], _, random) =>
  orthogonal({ rows, columns, gain: 0.1 * widening(columns, rows), random: random() });

const zero = constant(0);

/** What all versions share. */
const shared: Rules = {
  'emb.weight': uniform(1e-4),
  'head.weight': widenedMatrix(0.5),
  'ln_out.weight': constant(1),
  'ln_out.bias': zero,
  'ln0.weight': constant(1),
  'ln0.bias': zero,
  'ln1.weight': constant(1),
  'ln1.bias': zero,
  'ln2.weight': constant(1),
  'ln2.bias': zero,
  'att.output.weight': zero,
  'ffn.value.weight': zero,
};

/** The per-head norm: its share grows with the layers. */
const headNorm: Rules = {
  'att.ln_x.weight': elementwise((_, { layer, layers }) => power((1 + layer) / layers, 0.7)),
  'att.ln_x.bias': zero,
};

const third = (place: Place): number => 0.3 * depth(place);
const half = (place: Place): number => 0.5 * height(place);

/** Token shift of v4 and v5. */
const currentMixes: Rules = {
  'att.time_mix_k': ramp(height),
  'att.time_mix_v': ramp(height, third),
  'att.time_mix_r': ramp(half),
  'att.time_mix_g': ramp(half),
  'ffn.time_mix_k': ramp(height),
  'ffn.time_mix_r': ramp(height),
};

/** From `start` to `start + span`, one for each channel or head, slower at first in later layers. */
const decays = (start: number, span: number): Rule =>
  elementwise(
    (index, place, count) => start + span * power(position(index, count), 0.7 + 1.3 * depth(place)),
  );

const bonuses: Rule = elementwise(
  (index, place, count) => depth(place) * (1 - position(index, count)) + 0.1 * threefold(index),
);

const gatedFfn: Rules = { 'ffn.receptance.weight': zero };

const version4: Rules = {
  ...shared,
  ...currentMixes,
  ...gatedFfn,
  'att.time_decay': decays(-5, 8),
  // ln 0.3
  'att.time_first': elementwise((index) => -1.2039728043259361 + 0.5 * threefold(index)),
  'att.key.weight': zero,
  'att.receptance.weight': zero,
  'att.value.weight': widenedMatrix(1),
  'ffn.key.weight': widenedMatrix(1),
};

/** v5.0 and v5.1: one decay and one bonus for each head. */
const version5ByHead = (bonus: Rule): Rules => ({
  ...shared,
  ...headNorm,
  ...currentMixes,
  ...gatedFfn,
  'att.time_decay': decays(-6, 5),
  'att.time_faaaa': bonus,
  'att.receptance.weight': widenedMatrix(1),
  'att.key.weight': widenedMatrix(1),
  'att.value.weight': widenedMatrix(1),
  'att.gate.weight': widenedMatrix(1),
  'ffn.key.weight': widenedMatrix(1),
});

/** Matrices from v5.2 on. */
const matrices: Rules = {
  'att.receptance.weight': matrix(1),
  'att.key.weight': matrix(0.1),
  'att.value.weight': matrix(1),
  'att.gate.weight': matrix(0.1),
  'ffn.key.weight': matrix(1),
};

const version52: Rules = {
  ...shared,
  ...headNorm,
  ...currentMixes,
  ...gatedFfn,
  ...matrices,
  'att.time_decay': decays(-6, 5),
  'att.time_faaaa': bonuses,
};

const cube = (place: Place): number => height(place) ** 3;

const version6: Rules = {
  ...shared,
  ...headNorm,
  ...gatedFfn,
  ...matrices,
  'att.time_maa_x': fall(height),
  'att.time_maa_w': fall(height),
  'att.time_maa_k': fall(height),
  'att.time_maa_v': fall(height, third),
  'att.time_maa_r': fall(half),
  'att.time_maa_g': fall(half),
  'att.time_maa_w1.weight': zero,
  ...Object.fromEntries(
    ['w', 'k', 'v', 'r', 'g'].map((mix) => [`att.time_maa_w2.${mix}.weight`, uniform(0.01)]),
  ),
  'att.time_decay': decays(-6, 5),
  'att.time_decay_w1.weight': zero,
  'att.time_decay_w2.weight': uniform(0.01),
  'att.time_faaaa': bonuses,
  'ffn.time_maa_k': fall(cube),
  'ffn.time_maa_r': fall(cube),
};

/** From -0.5 to 0.5 over the channels. */
const linear = (index: number, count: number): number => position(index, count) - 0.5;

/** From -1 to 1 over each head, squared with its sign kept. */
function zigzag(index: number, { headSize }: Place): number {
  const middle = (headSize - 1) / 2;
  const along = middle > 0 ? ((index % headSize) - middle) / middle : 0;
  return along * Math.abs(along);
}

const share =
  (factor: number) =>
  (place: Place): number =>
    factor * height(place);

const version7: Rules = {
  ...shared,
  ...headNorm,
  ...matrices,
  'att.x_r': fall(share(0.2)),
  'att.x_w': fall(share(0.9)),
  'att.x_k': fall(share(0.7)),
  'att.x_v': fall(share(0.7)),
  'att.x_a': fall(share(0.9)),
  'att.x_g': fall(share(0.2)),
  'att.w0': elementwise(
    (index, place, count) =>
      -5.5 +
      6 * power(position(index, count), 1 + power(depth(place), 0.3)) +
      2.5 * zigzag(index, place),
  ),
  'att.a0': elementwise(
    (index, place, count) => -0.19 + 0.3 * zigzag(index, place) + 0.4 * linear(index, count),
  ),
  'att.v0': elementwise((index, _, count) => 0.73 - 0.4 * linear(index, count)),
  ...Object.fromEntries(
    ['w', 'a', 'v', 'g'].flatMap((pair) => [
      [`att.${pair}1.weight`, zero],
      [`att.${pair}2.weight`, lowRankUp],
    ]),
  ),
  'att.k_k': elementwise((index, _, count) => 0.71 - 0.1 * linear(index, count)),
  'att.k_a': constant(1.02),
  'att.r_k': constant(-0.04),
  'ffn.x_k': fall((place) => height(place) ** 4),
};

/** @throws TrainError `MODE_UNSUPPORTED` for v7a, whose initialisation was not published */
export function rulesOf(version: RwkvConfig['version']): Rules {
  switch (version) {
    case '4':
      return version4;
    case '5.0':
      return version5ByHead(constant(-3));
    case '5.1':
      return version5ByHead(
        elementwise((index, place, count) => depth(place) * (1 - position(index, count))),
      );
    case '5.2':
      return version52;
    case '6':
      return version6;
    case '7':
      return version7;
    case '7a':
      throw new TrainError({
        code: 'MODE_UNSUPPORTED',
        message: 'RWKV-7a has no published initialisation; fine-tune a published model instead.',
        expected: ['4', '5.0', '5.1', '5.2', '6', '7'],
        got: version,
      });
  }
}
