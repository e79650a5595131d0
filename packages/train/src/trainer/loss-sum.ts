import type { Loss } from './reports.js';
import { counts, type Sample } from './samples.js';

/** Adds up what losses are divided by. */
export class LossSum {
  readonly #tokenBytes: ((token: number) => number) | undefined;
  #weight = 0;
  #bytes = 0;
  /** Targets that count. */
  tokens = 0;

  constructor(tokenBytes: ((token: number) => number) | undefined) {
    this.#tokenBytes = tokenBytes;
  }

  add(sample: Sample): void {
    for (const [index, target] of sample.targets.entries()) {
      if (!counts(sample, index)) continue;
      this.tokens++;
      this.#weight += sample.mask?.[index] ?? 1;
      this.#bytes += this.#tokenBytes?.(target) ?? 0;
    }
  }

  /** What all counted targets weigh together. */
  get weight(): number {
    return this.#weight;
  }

  /** Of a loss summed over the samples. */
  mean(loss: number): Loss {
    return {
      loss: this.#weight > 0 ? loss / this.#weight : 0,
      ...(this.#bytes > 0 ? { bitsPerByte: loss / Math.LN2 / this.#bytes } : {}),
    };
  }
}
