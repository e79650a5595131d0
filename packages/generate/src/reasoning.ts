const open = '<think>';
const close = '</think>';

export interface SplitText {
  readonly reasoning: string;
  readonly text: string;
}

/**
 * - `bracket`: the `>` that completes the tag the prompt began.
 * - `start`: white space, then perhaps a tag.
 */
type Stage = 'bracket' | 'start' | 'reasoning' | 'answer';

/**
 * Separates what a model thinks from what it answers, as the text arrives, however it is cut. Neither part begins or ends
 * with white space, and no part of a tag is ever given out.
 */
export class ReasoningSplitter {
  #stage: Stage;
  #after: 'reasoning' | 'answer' = 'answer';
  #buffer = '';
  /** Whether something of the present part was given out: before that, white space is dropped. */
  #begun = false;

  /** `opener` is what the prompt put after "Assistant:". */
  constructor(opener: string) {
    const tag = opener.indexOf(open);
    if (opener.endsWith('</think')) {
      this.#stage = 'bracket';
    } else if (opener.endsWith('<think')) {
      this.#stage = 'bracket';
      this.#after = 'reasoning';
    } else if (tag >= 0 && !opener.includes(close)) {
      this.#stage = 'reasoning';
      this.#buffer = opener.slice(tag + open.length);
    } else {
      this.#stage = opener.includes(close) ? 'answer' : 'start';
    }
  }

  push(piece: string): SplitText {
    this.#buffer += piece;
    let reasoning = '';
    if (this.#stage === 'bracket' && this.#buffer !== '') {
      if (this.#buffer.startsWith('>')) this.#buffer = this.#buffer.slice(1);
      this.#stage = this.#after;
    }
    if (this.#stage === 'start') this.#decide();
    if (this.#stage === 'reasoning') reasoning = this.#takeReasoning();
    const text = this.#stage === 'answer' ? this.#take(this.#buffer.length) : '';
    return { reasoning, text };
  }

  /** What was held back and turned out to be no tag; white space at the end is dropped. */
  flush(): SplitText {
    const rest = this.#begun ? this.#buffer.trimEnd() : this.#buffer.trim();
    this.#buffer = '';
    return this.#stage === 'reasoning'
      ? { reasoning: rest, text: '' }
      : { reasoning: '', text: rest };
  }

  #decide(): void {
    const start = this.#buffer.trimStart();
    if (start.startsWith(open)) {
      this.#buffer = start.slice(open.length);
      this.#stage = 'reasoning';
    } else if (!open.startsWith(start)) {
      this.#stage = 'answer';
    }
  }

  #takeReasoning(): string {
    const end = this.#buffer.indexOf(close);
    if (end < 0) return this.#take(this.#buffer.length - overlap(this.#buffer, close));
    const head = this.#buffer.slice(0, end);
    const reasoning = this.#begun ? head.trimEnd() : head.trim();
    this.#buffer = this.#buffer.slice(end + close.length);
    this.#stage = 'answer';
    this.#begun = false;
    return reasoning;
  }

  /** Takes up to `length` characters from the front, leaving white space at their end for later. */
  #take(length: number): string {
    let end = length;
    while (end > 0 && this.#buffer[end - 1]!.trim() === '') end--;
    const taken = this.#buffer.slice(0, end);
    this.#buffer = this.#buffer.slice(end);
    if (this.#begun) return taken;
    this.#begun = taken !== '';
    return taken.trimStart();
  }
}

/** Length of the longest end of `text` that begins `tag`, and is not all of it. */
function overlap(text: string, tag: string): number {
  for (let length = Math.min(tag.length - 1, text.length); length > 0; length--) {
    if (text.endsWith(tag.slice(0, length))) return length;
  }
  return 0;
}
