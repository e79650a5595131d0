/** A small model of every version; all sizes differ, and the head size is odd. */
import type { RwkvConfig } from '@rwkv-ts/model';

const common = {
  layers: 2,
  channels: 15,
  channelMixSize: 22,
  vocabularySize: 37,
  normEpsilon: 1e-5,
  embeddingNorm: 'separate',
} as const;
const heads = { heads: 3, headSize: 5, headNormEpsilon: 64e-5 } as const;
const forms = { decayForm: 'official', bonusForm: 'plain' } as const;
const ranks = { decay: 4, rate: 6, valueResidual: 7, gate: 8 } as const;

export const smallConfigs: readonly RwkvConfig[] = [
  { ...common, version: '4', decayForm: 'official' },
  { ...common, ...heads, ...forms, version: '5.0', bonusForm: 'exp' },
  { ...common, ...heads, ...forms, version: '5.1' },
  { ...common, ...heads, ...forms, version: '5.2' },
  { ...common, ...heads, version: '6', ranks: { mix: 4, decay: 6 } },
  { ...common, ...heads, version: '7', ranks },
  { ...common, ...heads, version: '7a', ranks, deepEmbedSize: 3 },
];
