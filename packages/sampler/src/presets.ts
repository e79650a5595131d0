import type { SamplerOptions } from './options.js';

const presets = {
  /** The likeliest token, always. */
  greedy: { temperature: 0 },
  /** ChatRWKV's chat. */
  'rwkv-chat': {
    temperature: 1,
    topP: 0.3,
    presencePenalty: 0.5,
    frequencyPenalty: 0.5,
    penaltyDecay: 0.996,
  },
  /** The defaults of PIPELINE in the `rwkv` Python package. */
  pipeline: {
    temperature: 1,
    topP: 0.85,
    presencePenalty: 0.2,
    frequencyPenalty: 0.2,
    penaltyDecay: 0.996,
  },
  /** Stories: the RWKV documentation's creative setting. */
  creative: {
    temperature: 0.6,
    topP: 0.8,
    presencePenalty: 2,
    frequencyPenalty: 0.2,
    penaltyDecay: 0.99,
  },
  /**
   * Byte-level models. A word is several draws, each of which can spoil it, so the tail is cut relative to the likeliest
   * byte; and letters must recur, so nothing is penalised.
   */
  bytes: { temperature: 0.8, minP: 0.2 },
  /** Facts, retrieval, code, tool calls: no penalties. */
  conservative: { temperature: 0.3, topP: 0.3, presencePenalty: 0, frequencyPenalty: 0 },
  /** G1 reasoning models: the example of rwkv_lightning. */
  reasoning: {
    temperature: 0.8,
    topK: 50,
    topP: 0.6,
    presencePenalty: 1,
    frequencyPenalty: 0.1,
    penaltyDecay: 0.99,
  },
  /** RWKV Runner. */
  runner: {
    temperature: 1,
    topP: 0.3,
    presencePenalty: 0,
    frequencyPenalty: 1,
    penaltyDecay: 0.996,
  },
  /** The ai00 server. */
  ai00: {
    temperature: 1,
    topP: 0.5,
    topK: 128,
    presencePenalty: 0.3,
    frequencyPenalty: 0.3,
    penaltyDecay: 0.99654026,
  },
} satisfies { readonly [name: string]: SamplerOptions };

// A name that came from a user must find a preset or nothing, so there is no prototype.
const bare: object = Object.create(null) as object;
/**
 * Settings in use for RWKV models, by where they come from. Spread one and change what you like:
 * `createSampler(size, { ...samplerPresets['rwkv-chat'], seed: 1 })`. None bans a token or exempts one from counting;
 * the official code counts neither white space nor digits (`penaltyExempt`), which depends on the vocabulary.
 */
export const samplerPresets: Readonly<typeof presets> & {
  readonly [name: string]: SamplerOptions;
} = Object.freeze(Object.assign(bare, presets));
