/** One text in the making: logits → token → text, until something ends it. */
import type { Rows } from '@rwkv-ts/backend';
import type { SampledToken, Sampler } from '@rwkv-ts/sampler';
import type { StreamDecoder } from '@rwkv-ts/tokenizer';
import type { ModelState } from './model-state.js';
import { finished } from './sequence.js';
import type { StopMatcher } from './stop-matcher.js';

/**
 * - `stop`: the model ended the text (end-of-text token), or a stop string or token came up.
 * - `length`: `maxTokens` were made.
 * - `abort`: the caller's signal fired, or the reader of the stream left.
 */
export type FinishReason = 'stop' | 'length' | 'abort';

export interface Usage {
  /** Tokens before the text: those of the prompt and of the state it started from. */
  readonly promptTokens: number;
  /** Of these, the ones that a state spared feeding again. */
  readonly cachedTokens: number;
  /** Tokens of the text. */
  readonly completionTokens: number;
}

export interface TokenLogprob {
  readonly token: number;
  /** Natural logarithm of the model's probability, before temperature, penalties and truncation. */
  readonly logprob: number;
}

export interface GeneratedToken extends TokenLogprob {
  /** The most likely tokens, best first; as many as `topLogprobs` asked for. */
  readonly topLogprobs?: readonly TokenLogprob[];
}

export interface GenerationResult {
  /** Everything before the stop string or token. '' for a model without a tokenizer. */
  readonly text: string;
  /** Sampled tokens, without a final end-of-text or stop token; those that spelled a stop string are here. */
  readonly tokens: readonly number[];
  readonly finishReason: FinishReason;
  /** The stop string or token that ended the text. */
  readonly stop?: string | number;
  readonly usage: Usage;
  /** One entry per entry of `tokens`, when `logprobs` or `topLogprobs` was asked for. */
  readonly logprobs?: readonly GeneratedToken[];
  /**
   * The state after the prompt and all of `tokens`, when `keepState` was asked for. Absent when the signal fired before
   * the first token.
   */
  readonly state?: ModelState;
}

/** One token's worth of a stream, or its end. */
export interface StreamChunk {
  /** Text that is certain now; '' while characters or possible stop strings are incomplete. */
  readonly text: string;
  /** Absent in the last chunk. */
  readonly token?: number;
  readonly logprob?: number;
  readonly topLogprobs?: readonly TokenLogprob[];
  /** Only in the last chunk, which may carry the text that had been held back. */
  readonly finishReason?: FinishReason;
  /** Only in the last chunk. */
  readonly result?: GenerationResult;
}

export interface GenerationParts {
  readonly sampler: Sampler;
  /** Absent for a model without a tokenizer. */
  readonly decoder: StreamDecoder | undefined;
  readonly stops: StopMatcher;
  readonly stopTokens: ReadonlySet<number>;
  readonly maxTokens: number;
  readonly keepLogprobs: boolean;
  /** Called for every token, as it comes. */
  readonly onToken?: ((chunk: StreamChunk) => void) | undefined;
}

/** Rows that are taken whole, at most, before candidates get another try. */
const mostMisses = 63;

export class Generation {
  readonly tokens: number[] = [];
  readonly logprobs: GeneratedToken[] = [];
  finishReason: FinishReason | undefined;
  stop: string | number | undefined;
  /** Whether the last of `tokens` was also fed: only a stop token leaves nothing to feed. */
  allFed = false;
  #text = '';
  /** How many of the coming rows are taken whole, and how many after the next candidates that fail. */
  #wholeRows = 0;
  #misses = 0;
  readonly #parts: GenerationParts;

  constructor(parts: GenerationParts) {
    this.#parts = parts;
  }

  get text(): string {
    return this.#text;
  }

  /** Takes the logits after what was fed last; gives the token to feed next, or `finished`. */
  receive(logits: Rows): number {
    if (this.#wholeRows > 0) this.#wholeRows--;
    return this.#take(this.#parts.sampler.sample(logits));
  }

  /** Whether the likeliest tokens alone are worth a try. Log probabilities that are kept come from whole rows. */
  wantsCandidates(count: number): boolean {
    const { sampler, keepLogprobs } = this.#parts;
    return !keepLogprobs && this.#wholeRows === 0 && sampler.canDecide(count);
  }

  /** As `receive`, from the candidates of a row; undefined where they do not decide. */
  receiveCandidates(candidates: Rows): number | undefined {
    const sampled = this.#parts.sampler.sampleCandidates(candidates);
    if (sampled) {
      this.#misses = Math.floor(this.#misses / 2);
      return this.#take(sampled);
    }
    // Reading a row after its candidates costs more than reading it at once, so they are tried less where they fail.
    this.#misses = Math.min(2 * this.#misses + 1, mostMisses);
    this.#wholeRows = this.#misses;
    return undefined;
  }

  #take(sampled: SampledToken): number {
    const { stopTokens, stops, decoder, maxTokens, keepLogprobs } = this.#parts;
    const { token } = sampled;
    if (stopTokens.has(token)) {
      this.stop = token;
      this.finishReason = 'stop';
      this.allFed = true;
      return finished;
    }
    this.tokens.push(token);
    if (keepLogprobs) this.logprobs.push(sampled);
    const text = decoder === undefined ? '' : stops.push(decoder.push(token));
    this.#text += text;
    this.#parts.onToken?.({ text, ...sampled });
    if (stops.matched !== undefined) {
      this.stop = stops.matched;
      this.finishReason = 'stop';
    } else if (this.tokens.length >= maxTokens) {
      this.finishReason = 'length';
    }
    return this.finishReason === undefined ? token : finished;
  }

  /** Ends the text; gives the rest of it, which had been held back. */
  end(): { text: string; finishReason: FinishReason } {
    const { decoder, stops } = this.#parts;
    this.finishReason ??= 'abort';
    // An incomplete character at the end becomes U+FFFD, which may even complete a stop string: it is text like any other.
    let text = stops.push(decoder?.flush() ?? '');
    if (stops.matched === undefined) {
      text += stops.flush();
    } else if (this.finishReason !== 'abort') {
      this.stop = stops.matched;
      this.finishReason = 'stop';
    }
    this.#text += text;
    return { text, finishReason: this.finishReason };
  }
}
