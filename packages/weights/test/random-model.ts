/** Tiny models of every version with random weights, for tests: small enough to read back whole, odd enough to catch swaps. */
import { f16ToF32, f32ToF16 } from '@rwkv-ts/formats';
import { canonicalWeights, type RwkvConfig, type RwkvVersion } from '@rwkv-ts/model';

/** Row-major numbers with a shape. */
export interface Dense {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

export interface DenseModel {
  readonly config: RwkvConfig;
  /** By canonical name. */
  readonly weights: ReadonlyMap<string, Dense>;
}

/** mulberry32: 32 bits of state, good enough to make every number different. */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Every size differs from every other where the mathematics allows, so that a transposition shows in the shapes. */
export function tinyConfig(version: RwkvVersion, changes: Partial<RwkvConfig> = {}): RwkvConfig {
  const common = {
    layers: 3,
    channels: 32,
    channelMixSize: 64,
    vocabularySize: 48,
    normEpsilon: 1e-5,
    embeddingNorm: 'separate',
  } as const;
  const heads = { heads: 4, headSize: 8, headNormEpsilon: 64e-5 };
  const configs: Record<RwkvVersion, RwkvConfig> = {
    '4': { ...common, version: '4', decayForm: 'official' },
    '5.0': { ...common, ...heads, version: '5.0', decayForm: 'official', bonusForm: 'exp' },
    '5.1': { ...common, ...heads, version: '5.1', decayForm: 'official', bonusForm: 'plain' },
    '5.2': { ...common, ...heads, version: '5.2', decayForm: 'official', bonusForm: 'plain' },
    '6': { ...common, ...heads, version: '6', ranks: { mix: 3, decay: 5 } },
    '7': {
      ...common,
      ...heads,
      version: '7',
      ranks: { decay: 5, rate: 6, valueResidual: 3, gate: 7 },
    },
    '7a': {
      ...common,
      ...heads,
      version: '7a',
      ranks: { decay: 5, rate: 6, valueResidual: 3, gate: 7 },
      deepEmbedSize: 4,
    },
  };
  return { ...configs[version], ...changes } as RwkvConfig;
}

/** Numbers in (-1, 1) that f16 holds exactly, so that every plain format but bf16 round-trips bit for bit. */
export function randomDense(shape: readonly number[], random: () => number): Dense {
  const count = shape.reduce((product, size) => product * size, 1);
  const values = Float32Array.from({ length: count }, () => f16ToF32(f32ToF16(2 * random() - 1)));
  return { shape, values };
}

export function randomModel(config: RwkvConfig, seed = 1): DenseModel {
  const random = randomNumbers(seed);
  const weights = new Map<string, Dense>();
  for (const { name, shape } of canonicalWeights(config)) {
    weights.set(name, randomDense(shape, random));
  }
  return { config, weights };
}
