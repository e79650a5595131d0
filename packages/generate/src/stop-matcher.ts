import { optionInvalid } from './errors.js';

/**
 * Lets text through up to the first stop string. Text that could still become a stop string is held back, so no part of
 * one is ever given out. The first stop string to be complete wins (of those that end together, the one that began
 * first), which makes the result independent of how the text was cut into pieces.
 */
export class StopMatcher {
  readonly #stops: readonly string[];
  #held = '';
  #matched: string | undefined;

  /** @throws GenerateError `OPTION_INVALID` for an empty stop string, or one that begins or ends inside a character */
  constructor(stops: readonly string[]) {
    for (const stop of stops) {
      if (typeof stop !== 'string' || stop === '' || /\p{Surrogate}/u.test(stop)) {
        throw optionInvalid('stop', 'non-empty well-formed strings', JSON.stringify(stop));
      }
    }
    this.#stops = [...new Set(stops)];
  }

  /** The stop string that was found. */
  get matched(): string | undefined {
    return this.#matched;
  }

  /** The text that can be given out now; '' ever after a match. */
  push(text: string): string {
    if (this.#matched !== undefined) return '';
    this.#held += text;
    let start = this.#held.length;
    let end = Infinity;
    for (const stop of this.#stops) {
      const index = this.#held.indexOf(stop);
      if (index < 0) continue;
      const stopEnd = index + stop.length;
      if (stopEnd < end || (stopEnd === end && index < start)) {
        [start, end] = [index, stopEnd];
        this.#matched = stop;
      }
    }
    const safe = this.#matched === undefined ? this.#held.length - this.#undecided() : start;
    const out = this.#held.slice(0, safe);
    this.#held = this.#matched === undefined ? this.#held.slice(safe) : '';
    return out;
  }

  /** The text that was held back, when no more is coming. */
  flush(): string {
    const held = this.#held;
    this.#held = '';
    return held;
  }

  /** Length of the longest end of the held text that begins a stop string. */
  #undecided(): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, this.#held.length); length > longest; length--) {
        if (this.#held.endsWith(stop.slice(0, length))) longest = length;
      }
    }
    return longest;
  }
}
