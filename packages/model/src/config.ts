/**
 * What a program is built from. Everything is read from a file's tensors; nothing is computed from a formula, because
 * released models differ from every formula that was ever given for the sizes of their low-rank pairs.
 */
import { ModelError } from './errors.js';

export type RwkvVersion = '4' | '5.0' | '5.1' | '5.2' | '6' | '7' | '7a';
export const rwkvVersions: readonly RwkvVersion[] = ['4', '5.0', '5.1', '5.2', '6', '7', '7a'];

interface CommonConfig {
  /** L */
  readonly layers: number;
  /** C */
  readonly channels: number;
  /** F, the width of the channel-mix's hidden layer. */
  readonly channelMixSize: number;
  /** V, the number of rows of the embedding table and of the head. */
  readonly vocabularySize: number;
  /** Of ln0, ln1, ln2 and ln_out: 1e-5 in every published model. */
  readonly normEpsilon: number;
  /** `separate`: ln0 is applied to embedding rows. `folded`: the file's embedding table already went through it. */
  readonly embeddingNorm: 'separate' | 'folded';
}

interface HeadConfig {
  /** H */
  readonly heads: number;
  /** N, with H N = C. */
  readonly headSize: number;
  /** Of the per-head norm ln_x: 64e-5 in every published model; rwkv.cpp uses 1e-5 for v5. */
  readonly headNormEpsilon: number;
}

export interface RwkvConfig4 extends CommonConfig {
  readonly version: '4';
  /** `official`: time_decay is stored so that the log decay is -exp(time_decay). `applied`: it is the log decay. */
  readonly decayForm: 'official' | 'applied';
}

export interface RwkvConfig5 extends CommonConfig, HeadConfig {
  readonly version: '5.0' | '5.1' | '5.2';
  /** `official`: the decay is exp(-exp(time_decay)). `applied`: time_decay is the decay. */
  readonly decayForm: 'official' | 'applied';
  /** `exp`: the bonus is exp(time_faaaa) (files that call it time_first). `plain`: it is time_faaaa. */
  readonly bonusForm: 'exp' | 'plain';
}

export interface RwkvConfig6 extends CommonConfig, HeadConfig {
  readonly version: '6';
  /** Ranks of the low-rank pairs: D of the five mixes, and of the decay. */
  readonly ranks: { readonly mix: number; readonly decay: number };
}

export interface RwkvConfig7 extends CommonConfig, HeadConfig {
  readonly version: '7' | '7a';
  /** Ranks of the low-rank pairs w, a, v, g. `valueResidual` is 0 only for a model of one layer. */
  readonly ranks: {
    readonly decay: number;
    readonly rate: number;
    readonly valueResidual: number;
    readonly gate: number;
  };
  /** v7a (DeepEmbed): K, where each token has a [K, K] matrix per layer. Absent in v7. */
  readonly deepEmbedSize?: number;
}

export type RwkvConfig = RwkvConfig4 | RwkvConfig5 | RwkvConfig6 | RwkvConfig7;

const positiveFields = ['layers', 'channels', 'channelMixSize', 'vocabularySize'] as const;
/** Far above every model there is; a hostile header must not turn into an endless program. */
const limits = {
  layers: 1024,
  channels: 1 << 17,
  channelMixSize: 1 << 20,
  vocabularySize: 1 << 24,
} as const;

function fail(field: string, expected: unknown, got: unknown): never {
  throw new ModelError({
    code: 'CONFIG_INVALID',
    message: `${field} must be ${String(expected)}, got ${String(got)}.`,
    expected,
    got,
  });
}

function checkInteger(field: string, value: number, maximum: number): void {
  if (!Number.isSafeInteger(value) || value < 1 || value > maximum) {
    fail(field, `an integer from 1 to ${maximum}`, value);
  }
}

function checkEpsilon(field: string, value: number): void {
  if (!(typeof value === 'number' && value > 0 && value < 1)) {
    fail(field, 'a number between 0 and 1', value);
  }
}

function checkChoice(field: string, value: string, choices: readonly string[]): void {
  if (!choices.includes(value)) fail(field, choices.join(' or '), value);
}

function checkHeads({
  heads,
  headSize,
  headNormEpsilon,
  channels,
}: HeadConfig & CommonConfig): void {
  checkInteger('heads', heads, channels);
  checkInteger('headSize', headSize, channels);
  if (heads * headSize !== channels) fail('heads × headSize', channels, heads * headSize);
  checkEpsilon('headNormEpsilon', headNormEpsilon);
}

/** Ranks by name; a missing one counts as 0. */
function checkRanks(
  { ranks }: { readonly ranks?: Readonly<Record<string, number>> },
  names: readonly string[],
): void {
  for (const name of names) checkInteger(`ranks.${name}`, ranks?.[name] ?? 0, limits.channels);
}

/**
 * Checks every field, so that builders need not.
 * @throws ModelError `CONFIG_INVALID`
 */
export function validateConfig(config: RwkvConfig): void {
  if (!rwkvVersions.includes(config.version)) {
    fail('version', `one of ${rwkvVersions.join(', ')}`, config.version);
  }
  for (const field of positiveFields) checkInteger(field, config[field], limits[field]);
  checkEpsilon('normEpsilon', config.normEpsilon);
  checkChoice('embeddingNorm', config.embeddingNorm, ['separate', 'folded']);
  if (config.version !== '4') checkHeads(config);
  switch (config.version) {
    case '4':
      checkChoice('decayForm', config.decayForm, ['official', 'applied']);
      break;
    case '5.0':
    case '5.1':
    case '5.2':
      checkChoice('decayForm', config.decayForm, ['official', 'applied']);
      checkChoice('bonusForm', config.bonusForm, ['exp', 'plain']);
      break;
    case '6':
      checkRanks(config, ['mix', 'decay']);
      break;
    case '7':
    case '7a':
      checkRanks(config, ['decay', 'rate', 'gate']);
      // The first layer has no value residual, so a model of one layer has no rank for it.
      if (config.layers > 1) checkRanks(config, ['valueResidual']);
      if (config.version === '7a') checkInteger('deepEmbedSize', config.deepEmbedSize ?? 0, 1024);
  }
}
