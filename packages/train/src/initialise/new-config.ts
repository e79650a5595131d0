/** Configurations of new models: what the official trainers choose where one names only the size. */
import { type RwkvConfig, validateConfig } from '@rwkv-ts/model';
import { optionInvalid, TrainError } from '../errors.js';

export interface NewConfigOptions {
  readonly version: Exclude<RwkvConfig['version'], '7a'>;
  readonly layers: number;
  readonly channels: number;
  readonly vocabularySize: number;
  /** N, which divides `channels`. Default 64, as all published models have it; RWKV-4 has no heads. */
  readonly headSize?: number | undefined;
  /** F. Default 4 C in v4 and v7; 3.5 C, rounded down to a multiple of 32, in v5 and v6. */
  readonly channelMixSize?: number | undefined;
  /** Ranks of the low-rank pairs of v6 and v7, each by its name; those left out are as `officialRanks` has them. */
  readonly ranks?: Readonly<Record<string, number>> | undefined;
}

/** As Python rounds: halves go to the even neighbour. */
function roundHalfEven(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  if (rest !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
}

/**
 * D for C channels. v7: max(32, 32 round(f √C / 32)), with f 2.5 for the decay and the learning rate, 1.7 for the value
 * residual and 5 for the gate (RWKV-LM, RWKV-v7/train_temp); v6: 32 for the mixes and 64 for the decay
 * (RWKV-LM, RWKV-v5), twice that from 4096 channels on, as its 7B model has them. Only v6 and v7 have any.
 */
export function officialRanks(
  version: RwkvConfig['version'],
  channels: number,
): Readonly<Record<string, number>> {
  if (version === '6') {
    return channels < 4096 ? { mix: 32, decay: 64 } : { mix: 64, decay: 128 };
  }
  if (!version.startsWith('7')) return {};
  const rank = (factor: number): number =>
    Math.max(32, 32 * roundHalfEven((factor * Math.sqrt(channels)) / 32));
  return { decay: rank(2.5), rate: rank(2.5), valueResidual: rank(1.7), gate: rank(5) };
}

/**
 * @throws TrainError `MODE_UNSUPPORTED` for a version that cannot be started anew, `OPTION_INVALID` for a rank it has not
 * @throws ModelError `CONFIG_INVALID`
 */
export function newConfig(options: NewConfigOptions): RwkvConfig {
  const { version, layers, channels, vocabularySize, headSize = 64 } = options;
  if ((version as string) === '7a') {
    throw new TrainError({
      code: 'MODE_UNSUPPORTED',
      message: 'RWKV-7a has no published initialisation; fine-tune a published model instead.',
      expected: ['4', '5.0', '5.1', '5.2', '6', '7'],
      got: version,
    });
  }
  const isWide = version === '4' || version === '7';
  const width = isWide ? 4 * channels : 32 * Math.floor((3.5 * channels) / 32);
  const common = {
    layers,
    channels,
    channelMixSize: options.channelMixSize ?? width,
    vocabularySize,
    normEpsilon: 1e-5,
    embeddingNorm: 'separate',
  } as const;
  const heads = { heads: channels / headSize, headSize, headNormEpsilon: 64e-5 };
  const official = officialRanks(version, channels);
  const unknown = Object.keys(options.ranks ?? {}).find((name) => !(name in official));
  if (unknown !== undefined) {
    const names = Object.keys(official).join(', ') || `none in RWKV-${version}`;
    throw optionInvalid('ranks', `of ${names}`, unknown);
  }
  const ranks: Record<string, number> = { ...official, ...options.ranks };
  if (layers === 1 && version === '7') ranks['valueResidual'] = 0;
  const config = {
    version,
    ...common,
    ...(version === '4' ? {} : heads),
    ...(version === '6' || version === '7' ? { ranks } : { decayForm: 'official' }),
    // The first v5 stores the logarithm of its bonus.
    ...(version.startsWith('5') ? { bonusForm: version === '5.0' ? 'exp' : 'plain' } : {}),
  } as RwkvConfig;
  validateConfig(config);
  return config;
}
