import {
  adjust,
  candidateCount,
  candidatesCanDecide,
  type Known,
  likeliestOf,
  spread,
  truncateKnown,
} from './candidates.js';
import { type Distribution, type Distributions, measure } from './distribution.js';
import {
  boundSurprise,
  drawFromList,
  drawFromRow,
  heat,
  largestListed,
  surpriseOf,
  type Drawn,
} from './draw.js';
import { checkRow, checkToken } from './errors.js';
import { naturalLogarithm } from './exponential.js';
import { Likeliest, type TokenLogprob } from './likeliest.js';
import {
  checkVocabularySize,
  resolveOptions,
  resolveSeed,
  type ResolvedOptions,
  type SamplerOptions,
} from './options.js';
import { Penalties, changeToken } from './penalties.js';
import { RandomStream, seedState } from './random.js';
import { scratchFor, type Scratch } from './scratch.js';
import { checkState, plainOptions, type SamplerState } from './state.js';
import { gather, truncate, truncates } from './truncate.js';

export interface SampledToken {
  readonly token: number;
  /** ln of the token's probability under the model's own distribution, before penalties, bans and temperature. */
  readonly logprob: number;
  /** The `topLogprobs` likeliest tokens of the same distribution, likeliest first; absent if none were asked for. */
  readonly topLogprobs?: readonly TokenLogprob[];
}

export interface Sampler {
  /**
   * Chooses a token from `logits` [V], which is neither modified nor kept, and accepts it. On an error nothing has
   * changed: no random number is used up. Throws `LOGITS_LENGTH`, `LOGITS_INVALID`, `NO_TOKEN_LEFT`.
   */
  sample(logits: Float32Array | Float64Array): SampledToken;
  /**
   * Chooses from the likeliest tokens of a row alone: [2 n + 1], the n largest logits from the largest down, their
   * tokens, and Σ exp(logit - largest) over the whole row, within 1e-5 of its value, as the op `top-k` gives them. The
   * same token as `sample` of the whole row, its log probability within 1e-5; or undefined, and nothing has changed,
   * where those tokens do not decide it: `sample` the whole row then. Throws `LOGITS_LENGTH`.
   */
  sampleCandidates(candidates: Float32Array | Float64Array): SampledToken | undefined;
  /** Whether `count` candidates can decide with these options. Typical rows of a model then mostly do. */
  canDecide(count: number): boolean;
  /** Counts a token chosen elsewhere (forced, or of the prompt) and ages the others by one step. `TOKEN_INVALID`. */
  accept(token: number): void;
  /** Back to the moment of creation: no counts, no window, mirostat's first bound, the first random number. */
  reset(): void;
  /** An independent continuation: the same counts and, unless a seed is given, the same random numbers to come. */
  clone(changes?: { readonly seed?: number | bigint }): Sampler;
  /** Everything as plain JSON, for `restoreSampler`. */
  save(): SamplerState;
}

class LogitsSampler implements Sampler {
  readonly #size: number;
  readonly #options: ResolvedOptions;
  readonly #scratch: Scratch;
  readonly #penalties: Penalties;
  readonly #likeliest: Likeliest | undefined;
  readonly #random: RandomStream;
  readonly #truncates: boolean;
  readonly #found: Distributions = {
    model: { maximum: 0, mass: 1 },
    adjusted: { maximum: 0, mass: 1 },
  };
  readonly #drawn: Drawn = { token: 0, weight: 1, mass: 1 };
  #seed: bigint;
  readonly #known: Known = { length: 0, maximum: 0, bound: 0, leastMass: 0, mostMass: 0 };
  /** Tokens of biases and bans. */
  readonly #named: readonly number[];
  /** Mirostat's bound in bits. */
  #bound: number;

  constructor(size: number, options: ResolvedOptions, seed: bigint) {
    this.#size = size;
    this.#options = options;
    this.#seed = seed;
    this.#scratch = scratchFor(size);
    this.#penalties = new Penalties(options);
    this.#random = new RandomStream(seedState(seed));
    this.#bound = 2 * (options.mirostat?.targetSurprise ?? 0);
    this.#truncates = truncates(options, size);
    this.#named = [...options.logitBias.map(([token]) => token), ...options.bannedTokens];
    if (options.topLogprobs > 0) {
      this.#likeliest = new Likeliest(Math.min(options.topLogprobs, size));
    }
  }

  sample(logits: Float32Array | Float64Array): SampledToken {
    checkRow(logits, this.#size);
    this.#scratch.row.set(logits);
    measure(this.#scratch, this.#change(), logits, this.#found);
    const token = this.#options.temperature === 0 ? this.#greedy() : this.#draw();
    const { model } = this.#found;
    const logprob = logits[token]! - model.maximum - naturalLogarithm(model.mass);
    this.#penalties.accept(token);
    if (this.#likeliest === undefined) return { token, logprob };
    return { token, logprob, topLogprobs: this.#likeliest.find(logits, model) };
  }

  sampleCandidates(candidates: Float32Array | Float64Array): SampledToken | undefined {
    const count = candidateCount(candidates, this.#size);
    const scratch = this.#scratch;
    const { topLogprobs } = this.#options;
    // 0: a row that is no distribution, of which the whole row tells more.
    if (!(candidates[2 * count]! >= 1) || !this.canDecide(count)) return undefined;
    spread(scratch, candidates, { count, others: [...this.#penalties.mentioned, this.#named] });
    const changed = this.#change();
    const known = this.#known;
    if (!adjust(scratch, candidates, { count, changed, into: known })) return undefined;
    const token = this.#chooseKnown();
    if (token < 0) return undefined;
    this.#penalties.accept(token);
    const logit = candidates[candidates.indexOf(token, count) - count]!;
    const logprob = logit - candidates[0]! - naturalLogarithm(candidates[2 * count]!);
    if (topLogprobs === 0) return { token, logprob };
    const wanted = Math.min(topLogprobs, count);
    return { token, logprob, topLogprobs: likeliestOf(candidates, count, wanted) };
  }

  canDecide(count: number): boolean {
    return candidatesCanDecide(this.#options, { size: this.#size, count });
  }

  /** The token, or -1 where others than the certain ones could matter; only a choice uses up a random number. */
  #chooseKnown(): number {
    const scratch = this.#scratch;
    const known = this.#known;
    if (this.#options.temperature === 0) {
      return scratch.tokens[scratch.logits.indexOf(known.maximum)]!;
    }
    const length = truncateKnown(scratch, known, this.#options);
    if (length < 0) return -1;
    return this.#drawListed(length, this.#found.adjusted, this.#random.nextUniform());
  }

  /** Lists the changed tokens in the scratch memory and returns how many; `slots` is all -1 again afterwards. */
  #change(): number {
    const scratch = this.#scratch;
    const { slots, changedAdjusted } = scratch;
    let changed = this.#penalties.apply(scratch);
    for (const [token, bias] of this.#options.logitBias) {
      const slot = slots[token]! < 0 ? changeToken(scratch, token, changed++) : slots[token]!;
      changedAdjusted[slot]! += bias;
    }
    for (const token of this.#options.bannedTokens) {
      const slot = slots[token]! < 0 ? changeToken(scratch, token, changed++) : slots[token]!;
      changedAdjusted[slot] = -Infinity;
    }
    for (let at = 0; at < changed; at++) slots[scratch.changed[at]!] = -1;
    return changed;
  }

  #greedy(): number {
    const { maximum } = this.#found.adjusted;
    gather(this.#scratch, maximum, maximum);
    return this.#scratch.tokens[0]!;
  }

  #draw(): number {
    const scratch = this.#scratch;
    const { adjusted } = this.#found;
    const { temperature, mirostat } = this.#options;
    const uniform = this.#random.nextUniform();
    const length = this.#truncates ? truncate(scratch, adjusted, this.#options) : -1;
    if (mirostat === null && length < 0) {
      return drawFromRow(scratch, adjusted, temperature, uniform);
    }
    return this.#drawListed(length, adjusted, uniform);
  }

  /** Draws from a list of weighed tokens; `length` -1, with mirostat only, stands for the whole row. */
  #drawListed(length: number, adjusted: Distribution, uniform: number): number {
    const scratch = this.#scratch;
    const { temperature, mirostat } = this.#options;
    let listed = length;
    if (mirostat !== null) {
      const bound = this.#bound;
      listed = boundSurprise(scratch, adjusted, { length, temperature, bound });
    } else if (temperature !== 1) {
      heat(scratch, length, largestListed(scratch, length), temperature);
    }
    drawFromList(scratch, listed, uniform, this.#drawn);
    if (mirostat !== null) {
      const error = surpriseOf(this.#drawn) - mirostat.targetSurprise;
      this.#bound -= mirostat.learningRate * error;
    }
    return this.#drawn.token;
  }

  accept(token: number): void {
    checkToken(token, this.#size);
    this.#penalties.accept(token);
  }

  reset(): void {
    this.#penalties.reset();
    this.#random.state = seedState(this.#seed);
    this.#bound = 2 * (this.#options.mirostat?.targetSurprise ?? 0);
  }

  clone({ seed }: { readonly seed?: number | bigint } = {}): Sampler {
    const reseeded = seed !== undefined;
    const copy = new LogitsSampler(
      this.#size,
      this.#options,
      reseeded ? resolveSeed(seed) : this.#seed,
    );
    copy.#penalties.load(this.#penalties.save());
    copy.#bound = this.#bound;
    if (!reseeded) copy.#random.state = this.#random.state;
    return copy;
  }

  save(): SamplerState {
    return {
      version: 1,
      vocabularySize: this.#size,
      options: plainOptions(this.#options),
      seed: this.#seed.toString(),
      random: this.#random.state,
      mirostatBound: this.#bound,
      penalties: this.#penalties.save(),
    };
  }

  static restore(saved: SamplerState): Sampler {
    const { vocabularySize, options, seed, state } = checkState(saved);
    const sampler = new LogitsSampler(vocabularySize, options, seed);
    sampler.#random.state = state.random;
    sampler.#bound = state.mirostatBound;
    sampler.#penalties.load(state.penalties);
    return sampler;
  }
}

/**
 * A sampler for rows of `vocabularySize` logits (1 to 2^20). Throws `OPTION_INVALID` or `TOKEN_INVALID` for options
 * outside their ranges, `TypeError` for options of the wrong type.
 */
export function createSampler(vocabularySize: number, options: SamplerOptions = {}): Sampler {
  checkVocabularySize(vocabularySize);
  const resolved = resolveOptions(vocabularySize, options);
  return new LogitsSampler(vocabularySize, resolved, resolveSeed(options.seed));
}

/** The sampler that `save()` described: it goes on with the same tokens, bit for bit. Throws `STATE_INVALID`. */
export function restoreSampler(state: SamplerState): Sampler {
  return LogitsSampler.restore(state);
}
