/** Speed of writing: tokens after the first over the time since it, so that reading the prompt does not count. */
export class Meter {
  tokens = 0;
  #first = 0;
  #last = 0;

  count(now: number): void {
    this.tokens++;
    if (this.tokens === 1) this.#first = now;
    this.#last = now;
  }

  /** 0 until there are two tokens. */
  get tokensPerSecond(): number {
    const seconds = (this.#last - this.#first) / 1000;
    return this.tokens < 2 || seconds <= 0 ? 0 : (this.tokens - 1) / seconds;
  }
}
