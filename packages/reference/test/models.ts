/** Small models of every version; all sizes differ, and head sizes are odd. */
import type { RwkvConfig } from '@rwkv-ts/model';

interface Sizes {
  readonly channels: number;
  readonly channelMixSize: number;
  readonly vocabularySize: number;
  readonly heads: number;
  readonly headSize: number;
  readonly mixRank: number;
  readonly decayRank: number;
  readonly ranks: {
    readonly decay: number;
    readonly rate: number;
    readonly valueResidual: number;
    readonly gate: number;
  };
  readonly deepEmbedSize: number;
}

function configsOf(sizes: Sizes): readonly RwkvConfig[] {
  const { heads: headCount, headSize, mixRank, decayRank, ranks, deepEmbedSize, ...rest } = sizes;
  const common = { ...rest, layers: 2, normEpsilon: 1e-5, embeddingNorm: 'separate' } as const;
  const heads = { heads: headCount, headSize, headNormEpsilon: 64e-5 } as const;
  const forms = { decayForm: 'official', bonusForm: 'plain' } as const;
  return [
    { ...common, version: '4', decayForm: 'official' },
    { ...common, ...heads, ...forms, version: '5.0', bonusForm: 'exp' },
    { ...common, ...heads, ...forms, version: '5.1' },
    { ...common, ...heads, ...forms, version: '5.2' },
    { ...common, ...heads, version: '6', ranks: { mix: mixRank, decay: decayRank } },
    { ...common, ...heads, version: '7', ranks },
    { ...common, ...heads, version: '7a', ranks, deepEmbedSize },
  ];
}

export const smallConfigs = configsOf({
  channels: 15,
  channelMixSize: 22,
  vocabularySize: 37,
  heads: 3,
  headSize: 5,
  mixRank: 4,
  decayRank: 6,
  ranks: { decay: 4, rate: 6, valueResidual: 7, gate: 8 },
  deepEmbedSize: 3,
});

/** Under a thousand numbers each, so that every one of them can be moved by itself. */
export const smallestConfigs = configsOf({
  channels: 6,
  channelMixSize: 7,
  vocabularySize: 8,
  heads: 2,
  headSize: 3,
  mixRank: 2,
  decayRank: 3,
  ranks: { decay: 2, rate: 3, valueResidual: 2, gate: 4 },
  deepEmbedSize: 2,
});
