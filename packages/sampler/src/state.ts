import { SamplerError } from './errors.js';
import {
  checkVocabularySize,
  resolveOptions,
  resolveSeed,
  type ResolvedOptions,
  type SamplerOptions,
} from './options.js';
import { smallestFactor, type PenaltyState } from './penalties.js';
import type { RandomState } from './random.js';

/** `ResolvedOptions` in the names of `SamplerOptions`, as JSON carries them. */
export interface PlainOptions extends Omit<
  SamplerOptions,
  'logitBias' | 'bannedTokens' | 'penaltyExempt' | 'seed'
> {
  readonly logitBias: readonly (readonly [token: number, bias: number])[];
  readonly bannedTokens: readonly number[];
  readonly penaltyExempt: readonly number[];
}

/** A sampler at one moment, as plain JSON. A saved state may come from anyone: `restoreSampler` checks all of it. */
export interface SamplerState {
  readonly version: 1;
  readonly vocabularySize: number;
  readonly options: PlainOptions;
  /** The seed modulo 2^64, in decimal. */
  readonly seed: string;
  readonly random: RandomState;
  /** Mirostat's bound on the surprise, in bits. */
  readonly mirostatBound: number;
  readonly penalties: PenaltyState;
}

export function plainOptions(options: ResolvedOptions): PlainOptions {
  const { mirostat, repetitionWindow, ...rest } = options;
  return {
    ...rest,
    ...(mirostat === null ? {} : { mirostat }),
    ...(repetitionWindow === 0 ? {} : { repetitionWindow }),
  };
}

export interface CheckedState {
  readonly vocabularySize: number;
  readonly options: ResolvedOptions;
  readonly seed: bigint;
  readonly state: SamplerState;
}

/** The parts of a state, all checked; throws `STATE_INVALID` with what was wrong. */
export function checkState(state: SamplerState): CheckedState {
  try {
    requireThat(typeof state === 'object' && (state as unknown) !== null, 'an object');
    requireThat((state.version as number) === 1, `version 1, got ${String(state.version)}`);
    const { vocabularySize } = state;
    checkVocabularySize(vocabularySize);
    const options = checkOptions(state.options, vocabularySize);
    requireThat(/^\d{1,20}$/.test(state.seed), 'a decimal seed');
    checkList(state.random, { name: 'random words', from: 0, to: 0xffffffff, length: 4 });
    requireThat(
      state.random.some((word) => word !== 0),
      'random words that are not all 0',
    );
    requireThat(Number.isFinite(state.mirostatBound), 'a finite mirostatBound');
    checkPenalties(state.penalties, vocabularySize, options);
    return { vocabularySize, options, seed: resolveSeed(BigInt(state.seed)), state };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SamplerError({
      code: 'STATE_INVALID',
      message: `not a saved sampler: ${reason}`,
      cause,
    });
  }
}

function checkOptions(plain: PlainOptions, vocabularySize: number): ResolvedOptions {
  const { logitBias, bannedTokens, penaltyExempt, ...rest } = plain;
  const lists = { logitBias, bannedTokens, penaltyExempt };
  for (const [name, list] of Object.entries(lists)) {
    requireThat(Array.isArray(list), `${name} to be a list`);
    requireThat(list.length <= vocabularySize, `at most ${vocabularySize} ${name}`);
  }
  return resolveOptions(vocabularySize, {
    ...rest,
    logitBias: new Map(logitBias),
    bannedTokens,
    penaltyExempt: new Set(penaltyExempt),
  });
}

function checkPenalties(
  { tokens, counts, factor, window }: PenaltyState,
  vocabularySize: number,
  { repetitionPenalty, repetitionWindow }: ResolvedOptions,
): void {
  const to = vocabularySize - 1;
  checkList(tokens, { name: 'counted tokens', from: 0, to, most: vocabularySize });
  requireThat(new Set(tokens).size === tokens.length, 'each counted token once');
  const { length } = tokens;
  requireThat(Array.isArray(counts) && counts.length === length, `${length} counts`);
  requireThat(
    counts.every((count) => Number.isFinite(count) && count >= 0),
    'finite counts of at least 0',
  );
  requireThat(factor >= smallestFactor && factor <= 1, 'a factor from 1e-60 to 1');
  const most = repetitionPenalty === 1 ? 0 : repetitionWindow;
  checkList(window, { name: 'window tokens', from: -1, to, most });
}

interface ListRule {
  readonly name: string;
  readonly from: number;
  readonly to: number;
  readonly length?: number;
  readonly most?: number;
}

function checkList(list: readonly number[], { name, from, to, length, most }: ListRule): void {
  requireThat(Array.isArray(list), `${name} to be a list`);
  if (length !== undefined) requireThat(list.length === length, `${length} ${name}`);
  if (most !== undefined) {
    requireThat(list.length <= most, `at most ${most} ${name}, got ${list.length}`);
  }
  requireThat(
    list.every((entry) => Number.isInteger(entry) && entry >= from && entry <= to),
    `${name} to be integers from ${from} to ${to}`,
  );
}

function requireThat(held: boolean, expected: string): void {
  if (!held) throw new TypeError(`expected ${expected}`);
}
