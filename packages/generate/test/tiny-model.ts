/** Small models with random weights, for laws that hold whatever the weights are. */
import type { Backend, HostWeight, Limits } from '@rwkv-ts/backend';
import { type RwkvConfig, buildProgram } from '@rwkv-ts/model';
import { type LanguageModel, createLanguageModel } from '../src/index.js';

const common = {
  layers: 2,
  channels: 16,
  channelMixSize: 24,
  vocabularySize: 267,
  normEpsilon: 1e-5,
  embeddingNorm: 'separate',
} as const;
const heads = { heads: 2, headSize: 8, headNormEpsilon: 64e-5 } as const;

export const tinyConfigs: readonly RwkvConfig[] = [
  { version: '4', ...common, decayForm: 'official' },
  { version: '5.2', ...common, ...heads, decayForm: 'official', bonusForm: 'plain' },
  { version: '6', ...common, ...heads, ranks: { mix: 4, decay: 4 } },
  {
    version: '7',
    ...common,
    ...heads,
    ranks: { decay: 4, rate: 4, valueResidual: 4, gate: 4 },
  },
];

/** Numbers in [-1, 1), the same on every run. */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

async function* randomWeights(config: RwkvConfig): AsyncGenerator<HostWeight> {
  const random = createRandom(Number.parseInt(config.version, 10));
  for (const { name, shape } of buildProgram(config).weights) {
    const count = shape.reduce((product, size) => product * size, 1);
    const width = shape.at(-1)!;
    const isNorm = /(?:ln\w*)\.weight$/.test(name);
    const scale = shape.length > 1 ? 1.5 / Math.sqrt(width) : 0.5;
    const values = Float32Array.from({ length: count }, () => (isNorm ? 1 : 0) + scale * random());
    // Large enough that the next token is a matter of what came before.
    if (name === 'head.weight') values.forEach((value, i) => (values[i] = 4 * value));
    yield { name, shape, format: 'f32', bytes: new Uint8Array(values.buffer) };
  }
}

export function createTinyModel(
  config: RwkvConfig,
  { backend, limits }: { backend: Backend; limits: Limits },
): Promise<LanguageModel> {
  const fingerprint = `tiny ${config.version}`;
  return createLanguageModel({
    config,
    weights: randomWeights(config),
    backend,
    limits,
    fingerprint: () => fingerprint,
  });
}
