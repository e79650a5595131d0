/** One small model of every version, with sizes that are all different, so that a swapped axis shows. */
import type { OpKind } from '@rwkv-ts/backend';
import type { RwkvConfig } from '@rwkv-ts/model';

const common = {
  layers: 2,
  channels: 12,
  channelMixSize: 20,
  vocabularySize: 23,
  normEpsilon: 1e-5,
  embeddingNorm: 'separate',
} as const;
const heads = { heads: 3, headSize: 4, headNormEpsilon: 64e-5 } as const;
const forms = { decayForm: 'official', bonusForm: 'plain' } as const;
const ranks = { decay: 5, rate: 6, valueResidual: 7, gate: 8 } as const;

export const smallConfigs: readonly RwkvConfig[] = [
  { ...common, version: '4', decayForm: 'official' },
  { ...common, ...heads, ...forms, version: '5.0', bonusForm: 'exp' },
  { ...common, ...heads, ...forms, version: '5.1' },
  { ...common, ...heads, ...forms, version: '5.2' },
  { ...common, ...heads, version: '6', ranks: { mix: 5, decay: 7 } },
  { ...common, ...heads, version: '7', ranks },
  { ...common, ...heads, version: '7a', ranks, deepEmbedSize: 3 },
];

export const primitiveKinds: ReadonlySet<OpKind> = new Set<OpKind>([
  'embed',
  'select-rows',
  'norm',
  'l2-norm',
  'shift',
  'lerp',
  'matmul',
  'row-matmul',
  'add',
  'mul',
  'scale',
  'activate',
  'slice',
  'top-k',
  'wkv4',
  'wkv6',
  'wkv7',
  'bonus7',
]);
