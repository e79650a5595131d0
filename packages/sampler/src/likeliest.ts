import type { Distribution } from './distribution.js';
import { naturalLogarithm } from './exponential.js';

/** A token and the natural logarithm of its probability under the model's own distribution. */
export interface TokenLogprob {
  readonly token: number;
  readonly logprob: number;
}

/** The likeliest tokens of a row, kept in a short sorted list while the row is read once. */
export class Likeliest {
  readonly #tokens: Int32Array;
  readonly #logits: Float64Array;

  constructor(count: number) {
    this.#tokens = new Int32Array(count);
    this.#logits = new Float64Array(count);
  }

  /** Likeliest first, equally likely ones by id; fewer than asked for if the others have probability 0. */
  find(row: Float32Array | Float64Array, { maximum, mass }: Distribution): TokenLogprob[] {
    const tokens = this.#tokens;
    const logits = this.#logits;
    const count = tokens.length;
    let length = 0;
    let entry = -Infinity;
    for (let token = 0; token < row.length; token++) {
      const logit = row[token]!;
      if (!(logit > entry)) continue;
      let hole = length < count ? length++ : count - 1;
      for (; hole > 0 && logits[hole - 1]! < logit; hole--) {
        logits[hole] = logits[hole - 1]!;
        tokens[hole] = tokens[hole - 1]!;
      }
      logits[hole] = logit;
      tokens[hole] = token;
      if (length === count) entry = logits[count - 1]!;
    }
    const logMass = naturalLogarithm(mass);
    const found: TokenLogprob[] = [];
    for (let at = 0; at < length; at++) {
      found.push({ token: tokens[at]!, logprob: logits[at]! - maximum - logMass });
    }
    return found;
  }
}
