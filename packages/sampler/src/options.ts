import { SamplerError, checkToken } from './errors.js';

/**
 * How a token is chosen. Everything left out is off; `{}` samples the model's own distribution.
 *
 * Order: repetition penalty, presence and frequency penalty, logit bias, bans; softmax; top-p, top-k, min-p; typical;
 * temperature; mirostat; draw. Top-p, top-k and min-p all look at that one softmax and nothing is renormalised between
 * them, so a token stays if each of the three alone would keep it, in whatever order one reads them.
 */
export interface SamplerOptions {
  /** Divides the logits of the tokens kept (p^(1/T)): 0 takes the likeliest token, else 1e-6 to 1e6. Default 1. */
  temperature?: number;
  /** Keeps the k likeliest; of equally likely ones at the edge the lowest ids. 0 (default) keeps all. */
  topK?: number;
  /** Keeps the likeliest tokens until their sum reaches this, and all as likely as the last. 0 to 1; 1 (default) is off. */
  topP?: number;
  /** Keeps tokens at least this fraction as likely as the likeliest. 0 (default, off) to 1. */
  minP?: number;
  /**
   * Locally typical sampling (Meister et al. 2023, section 4): of what the others kept, renormalised, the tokens whose
   * surprise is nearest the entropy until their sum reaches this, ties kept. Above 0, to 1; 1 (default) is off.
   */
  typicalP?: number;
  /**
   * Mirostat 2.0 (Basu et al. 2021): drops tokens more surprising than a bound that is steered so that the surprise of
   * the drawn tokens averages `targetSurprise` bits (0 to 64); the bound starts at twice that and moves by
   * `learningRate` (0 to 1) times each error.
   */
  mirostat?: { readonly targetSurprise: number; readonly learningRate: number };
  /** Taken off the logit of every token seen since `reset`. -100 to 100, default 0. */
  presencePenalty?: number;
  /** Taken off a seen token's logit once per (decayed) count. -100 to 100, default 0. */
  frequencyPenalty?: number;
  /** What every count is multiplied by at each accepted token. 0 to 1; 1 (default) never forgets. */
  penaltyDecay?: number;
  /** Divides the positive and multiplies the other logits of seen tokens (Keskar et al. 2019). 0.01 to 100, default 1. */
  repetitionPenalty?: number;
  /** How many of the last accepted tokens `repetitionPenalty` looks at: 1 to 65536. Default: all since `reset`. */
  repetitionWindow?: number;
  /** Added to logits by token id; -Infinity bans, +Infinity and NaN are refused. */
  logitBias?: ReadonlyMap<number, number> | Readonly<Record<number, number>>;
  /** Tokens never chosen. */
  bannedTokens?: Iterable<number>;
  /** Tokens (white space, digits) that no penalty ever counts, though they age the counts of the others. */
  penaltyExempt?: ReadonlySet<number>;
  /** An integer from -2^63 to 2^64 - 1 (a number: a safe integer). Left out: one from the platform's secure source. */
  seed?: number | bigint;
  /** How many of the model's likeliest tokens to report with each token: 0 (default) to 1024. */
  topLogprobs?: number;
}

/** Options checked and completed. Lists are sorted by id; a bias of -Infinity has become a ban. */
export interface ResolvedOptions {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly typicalP: number;
  readonly mirostat: { readonly targetSurprise: number; readonly learningRate: number } | null;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  readonly penaltyDecay: number;
  readonly repetitionPenalty: number;
  /** 0: all tokens since `reset`. */
  readonly repetitionWindow: number;
  readonly logitBias: readonly (readonly [token: number, bias: number])[];
  readonly bannedTokens: readonly number[];
  readonly penaltyExempt: readonly number[];
  readonly topLogprobs: number;
}

/** The working memory is 76 bytes a token with the row, so this many stay under 80 MiB. RWKV vocabularies have at most 65,536. */
export const largestVocabulary = 2 ** 20;

export interface Range {
  readonly name: string;
  readonly from: number;
  readonly to: number;
  readonly integer?: boolean;
  /** A value allowed below `from`. */
  readonly or?: number;
}

/** `value` if it lies in the range, else `OPTION_INVALID` (or `TypeError` if it is no number). */
export function inRange(value: number, { name, from, to, integer = false, or }: Range): number {
  if (typeof value !== 'number') {
    throw new TypeError(`expected ${name} to be a number, got ${typeof value}`);
  }
  if (value === or) return value;
  if (value >= from && value <= to && (!integer || Number.isInteger(value))) return value;
  const range = `${or === undefined ? '' : `${or} or `}${integer ? 'an integer ' : ''}from ${from} to ${to}`;
  throw new SamplerError({
    code: 'OPTION_INVALID',
    message: `expected ${name} to be ${range}, got ${value}`,
    expected: range,
    got: value,
  });
}

export function checkVocabularySize(vocabularySize: number): void {
  inRange(vocabularySize, {
    name: 'vocabularySize',
    from: 1,
    to: largestVocabulary,
    integer: true,
  });
}

export function resolveOptions(vocabularySize: number, options: SamplerOptions): ResolvedOptions {
  const number = (
    name: keyof SamplerOptions,
    otherwise: number,
    range: Omit<Range, 'name'>,
  ): number => {
    const value = options[name] as number | undefined;
    return value === undefined ? otherwise : inRange(value, { name, ...range });
  };
  const banned = tokenSet(options.bannedTokens, vocabularySize);
  const bias = resolveBias(options.logitBias, vocabularySize, banned);
  return {
    temperature: number('temperature', 1, { from: 1e-6, to: 1e6, or: 0 }),
    topK: number('topK', 0, { from: 0, to: Number.MAX_SAFE_INTEGER, integer: true }),
    topP: number('topP', 1, { from: 0, to: 1 }),
    minP: number('minP', 0, { from: 0, to: 1 }),
    typicalP: number('typicalP', 1, { from: Number.MIN_VALUE, to: 1 }),
    mirostat: resolveMirostat(options.mirostat),
    presencePenalty: number('presencePenalty', 0, { from: -100, to: 100 }),
    frequencyPenalty: number('frequencyPenalty', 0, { from: -100, to: 100 }),
    penaltyDecay: number('penaltyDecay', 1, { from: 0, to: 1 }),
    repetitionPenalty: number('repetitionPenalty', 1, { from: 0.01, to: 100 }),
    repetitionWindow: number('repetitionWindow', 0, { from: 1, to: 65536, integer: true }),
    logitBias: bias,
    bannedTokens: sorted(banned),
    penaltyExempt: sorted(tokenSet(options.penaltyExempt, vocabularySize)),
    topLogprobs: number('topLogprobs', 0, { from: 0, to: 1024, integer: true }),
  };
}

function resolveMirostat(mirostat: SamplerOptions['mirostat']): ResolvedOptions['mirostat'] {
  if (mirostat === undefined) return null;
  const { targetSurprise, learningRate } = mirostat;
  return {
    targetSurprise: inRange(targetSurprise, { name: 'mirostat.targetSurprise', from: 0, to: 64 }),
    learningRate: inRange(learningRate, { name: 'mirostat.learningRate', from: 0, to: 1 }),
  };
}

function resolveBias(
  logitBias: SamplerOptions['logitBias'],
  vocabularySize: number,
  banned: Set<number>,
): ResolvedOptions['logitBias'] {
  if (logitBias === undefined) return [];
  const given: Iterable<readonly [number, number]> =
    logitBias instanceof Map
      ? (logitBias as ReadonlyMap<number, number>)
      : Object.entries(logitBias as Record<string, number>).map(([key, bias]) => [
          Number(key),
          bias,
        ]);
  const kept: (readonly [number, number])[] = [];
  for (const [token, bias] of given) {
    checkToken(token, vocabularySize);
    if (bias === -Infinity) banned.add(token);
    else {
      const range = { from: -Number.MAX_VALUE, to: Number.MAX_VALUE, or: -Infinity };
      kept.push([token, inRange(bias, { name: `logitBias of token ${token}`, ...range })]);
    }
  }
  return kept.sort((a, b) => a[0] - b[0]);
}

function tokenSet(tokens: Iterable<number> | undefined, vocabularySize: number): Set<number> {
  const set = new Set<number>();
  for (const token of tokens ?? []) {
    checkToken(token, vocabularySize);
    set.add(token);
  }
  return set;
}

function sorted(tokens: Set<number>): number[] {
  return [...tokens].sort((a, b) => a - b);
}

/** The seed as 64 bits, or fresh ones. Works wherever `crypto.getRandomValues` does (Node 20, browsers, workers). */
export function resolveSeed(seed: number | bigint | undefined): bigint {
  if (seed === undefined) return crypto.getRandomValues(new BigUint64Array(1))[0]!;
  if (typeof seed === 'number') {
    const { MIN_SAFE_INTEGER: from, MAX_SAFE_INTEGER: to } = Number;
    return BigInt.asUintN(64, BigInt(inRange(seed, { name: 'seed', from, to, integer: true })));
  }
  if (typeof seed !== 'bigint') throw new TypeError('expected seed to be a number or a bigint');
  if (seed >= -(1n << 63n) && seed < 1n << 64n) return BigInt.asUintN(64, seed);
  throw new SamplerError({
    code: 'OPTION_INVALID',
    message: `expected seed to be from -2^63 to 2^64 - 1, got ${seed.toString()}`,
    expected: '-2^63 to 2^64 - 1',
    got: seed,
  });
}
