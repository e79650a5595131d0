import type { ResolvedOptions } from './options.js';
import type { Scratch } from './scratch.js';

/** What the penalties remember. Plain JSON. */
export interface PenaltyState {
  /** The tokens seen, in order of first sight. */
  readonly tokens: readonly number[];
  /** Their counts divided by `factor`. */
  readonly counts: readonly number[];
  /** The common factor of all counts, from 1e-60 to 1. */
  readonly factor: number;
  /** The last tokens for the repetition penalty, oldest first, -1 for an exempt one; empty without a window. */
  readonly window: readonly number[];
}

/** Under this the common factor is multiplied into the counts, long before anything underflows. */
export const smallestFactor = 1e-60;

/**
 * Counts with decay, at a cost per token that grows with the tokens seen and not with the vocabulary.
 *
 * Multiplying every count at every step is replaced by one common factor: a stored count is the true one divided by the
 * product of the decays so far, so a step multiplies the factor and adds 1 / factor to one count. Against the naive way
 * each count carries two more roundings, whatever its age.
 */
export class Penalties {
  readonly #options: ResolvedOptions;
  readonly #exempt: ReadonlySet<number>;
  readonly #places = new Map<number, number>();
  #tokens = new Int32Array(64);
  #counts = new Float64Array(64);
  #length = 0;
  #factor = 1;
  readonly #window: Int32Array;
  #windowNext = 0;
  #windowLength = 0;

  constructor(options: ResolvedOptions) {
    this.#options = options;
    this.#exempt = new Set(options.penaltyExempt);
    const remembers = options.repetitionPenalty !== 1;
    this.#window = new Int32Array(remembers ? options.repetitionWindow : 0);
  }

  get #counted(): boolean {
    const { presencePenalty, frequencyPenalty, repetitionPenalty, repetitionWindow } =
      this.#options;
    const repeats = repetitionPenalty !== 1 && repetitionWindow === 0;
    return presencePenalty !== 0 || frequencyPenalty !== 0 || repeats;
  }

  accept(token: number): void {
    const exempt = this.#exempt.has(token);
    if (this.#window.length > 0) this.#pushWindow(exempt ? -1 : token);
    if (!this.#counted) return;
    this.#factor *= this.#options.penaltyDecay;
    if (this.#factor < smallestFactor) this.#fold();
    if (exempt) return;
    const place = this.#places.get(token) ?? this.#add(token);
    this.#counts[place]! += 1 / this.#factor;
  }

  #pushWindow(token: number): void {
    this.#window[this.#windowNext] = token;
    this.#windowNext = (this.#windowNext + 1) % this.#window.length;
    if (this.#windowLength < this.#window.length) this.#windowLength += 1;
  }

  #fold(): void {
    for (let at = 0; at < this.#length; at++) this.#counts[at]! *= this.#factor;
    this.#factor = 1;
  }

  #add(token: number): number {
    if (this.#length === this.#tokens.length) {
      const tokens = new Int32Array(this.#length * 2);
      const counts = new Float64Array(this.#length * 2);
      tokens.set(this.#tokens);
      counts.set(this.#counts);
      this.#tokens = tokens;
      this.#counts = counts;
    }
    const place = this.#length++;
    this.#tokens[place] = token;
    this.#counts[place] = 0;
    this.#places.set(token, place);
    return place;
  }

  /** Whose logits `apply` may change; each at least once. */
  get mentioned(): readonly Int32Array[] {
    const seen = this.#tokens.subarray(0, this.#length);
    if (this.#windowLength === 0) return [seen];
    return [seen, this.#window.subarray(0, this.#windowLength).filter((token) => token >= 0)];
  }

  /**
   * Writes the penalised logits: `scratch.row` holds the model's row; every token with a penalty is appended to
   * `scratch.changed` (its place in `slots`). Returns how many there are.
   */
  apply(scratch: Scratch): number {
    const { presencePenalty, frequencyPenalty, repetitionPenalty } = this.#options;
    let changed = 0;
    for (let at = 0; at < this.#windowLength; at++) {
      const token = this.#window[at]!;
      if (token < 0 || scratch.slots[token]! >= 0) continue;
      const slot = changeToken(scratch, token, changed++);
      scratch.changedAdjusted[slot] = repeated(scratch.changedRaw[slot]!, repetitionPenalty);
    }
    const everRepeats = repetitionPenalty !== 1 && this.#window.length === 0;
    for (let at = 0; at < this.#length; at++) {
      const token = this.#tokens[at]!;
      let slot = scratch.slots[token]!;
      if (slot < 0) slot = changeToken(scratch, token, changed++);
      let logit = scratch.changedAdjusted[slot]!;
      if (everRepeats) logit = repeated(logit, repetitionPenalty);
      const count = this.#counts[at]! * this.#factor;
      scratch.changedAdjusted[slot] = logit - (presencePenalty + count * frequencyPenalty);
    }
    return changed;
  }

  reset(): void {
    this.#places.clear();
    this.#length = 0;
    this.#factor = 1;
    this.#windowNext = 0;
    this.#windowLength = 0;
  }

  save(): PenaltyState {
    const window: number[] = [];
    const { length } = this.#window;
    const start = this.#windowLength < length ? 0 : this.#windowNext;
    for (let at = 0; at < this.#windowLength; at++)
      window.push(this.#window[(start + at) % length]!);
    const tokens = Array.from(this.#tokens.subarray(0, this.#length));
    const counts = Array.from(this.#counts.subarray(0, this.#length));
    return { tokens, counts, factor: this.#factor, window };
  }

  /** Takes over a state, which must have been checked. */
  load({ tokens, counts, factor, window }: PenaltyState): void {
    this.reset();
    this.#factor = factor;
    for (const [at, token] of tokens.entries()) this.#counts[this.#add(token)] = counts[at]!;
    for (const token of window) this.#pushWindow(token);
  }
}

/** The penalty of CTRL (Keskar et al. 2019, section 4.1): towards -Infinity on either side of 0. */
function repeated(logit: number, penalty: number): number {
  return logit > 0 ? logit / penalty : logit * penalty;
}

/** Appends `token` to the changed ones, at first unchanged. */
export function changeToken(scratch: Scratch, token: number, slot: number): number {
  const raw = scratch.row[token]!;
  scratch.slots[token] = slot;
  scratch.changed[slot] = token;
  scratch.changedRaw[slot] = raw;
  scratch.changedAdjusted[slot] = raw;
  return slot;
}
