/** Random models small enough for any device, one per version. */
import type { HostWeight, Program } from '@rwkv-ts/backend';
import { buildProgram, type RwkvConfig, type RwkvVersion } from '@rwkv-ts/model';
import { createRandomWeights } from '../src/random-weights.js';

export interface TinyModel {
  readonly version: RwkvVersion;
  readonly config: RwkvConfig;
  readonly program: Program;
  readonly weights: readonly HostWeight[];
  /** Where greedy generation starts. */
  readonly prompt: readonly number[];
}

const common = {
  layers: 2,
  channels: 48,
  channelMixSize: 112,
  vocabularySize: 61,
  normEpsilon: 1e-5,
  embeddingNorm: 'separate',
} as const;
const heads = { heads: 3, headSize: 16, headNormEpsilon: 64e-5 } as const;
const five = { ...common, ...heads, decayForm: 'official', bonusForm: 'plain' } as const;
const ranks7 = { decay: 8, rate: 8, valueResidual: 4, gate: 12 } as const;

const configs: { readonly [V in RwkvVersion]: RwkvConfig & { readonly version: V } } = {
  '4': { ...common, version: '4', decayForm: 'official' },
  '5.0': { ...five, version: '5.0', bonusForm: 'exp' },
  '5.1': { ...five, version: '5.1' },
  '5.2': { ...five, version: '5.2' },
  '6': { ...common, ...heads, version: '6', ranks: { mix: 4, decay: 6 } },
  '7': { ...common, ...heads, version: '7', ranks: ranks7 },
  '7a': { ...common, ...heads, version: '7a', ranks: ranks7, deepEmbedSize: 6 },
};

/**
 * Seeds whose 64 greedy tokens are decided clearly: at every step the best logit leads by more than twice the bound for
 * f16, as models.test.ts asserts, while at least 16 different tokens come up. Of random models of this size one in some
 * hundreds is so. A change of createRandomWeights needs new ones.
 */
const seeds: { readonly [V in RwkvVersion]: number } = {
  '4': 522,
  '5.0': 1162,
  '5.1': 70,
  '5.2': 432,
  '6': 249,
  '7': 606,
  '7a': 254,
};

function createTinyModel(version: RwkvVersion): TinyModel {
  const config = configs[version];
  const program = buildProgram(config);
  const weights = createRandomWeights(config, { seed: seeds[version] });
  return { version, config, program, weights, prompt: [3, 1, 4, 1, 5, 9, 2, 6] };
}

let models: readonly TinyModel[] | undefined;

/** Made on first use and then shared; the weights' bytes must be copied before they are handed over. */
export function tinyModels(): readonly TinyModel[] {
  models ??= (Object.keys(configs) as RwkvVersion[]).map(createTinyModel);
  return models;
}

/** The model of one version. */
export function tinyModel(version: RwkvVersion): TinyModel {
  return tinyModels().find((model) => model.version === version)!;
}

export const tinyVersions: readonly RwkvVersion[] = Object.keys(configs) as RwkvVersion[];
