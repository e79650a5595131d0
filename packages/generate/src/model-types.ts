/** What goes into the methods of `Model`, and what comes out. */
import type { Rows } from '@rwkv-ts/backend';
import type { RwkvConfig } from '@rwkv-ts/model';
import type { Tokenizer } from '@rwkv-ts/tokenizer';
import type { LanguageModel } from './language-model.js';
import type { ModelState } from './model-state.js';

export interface CreateModelOptions {
  readonly languageModel: LanguageModel;
  /** Without one, prompts and results are token ids. */
  readonly tokenizer?: Tokenizer | undefined;
  /** Generations that run at the same time; default 8. */
  readonly slots?: number | undefined;
  /** Generations that may wait for a slot; default 1024. */
  readonly maximumQueued?: number | undefined;
  /** Most prompt tokens in a step in which others decode; default 128. */
  readonly prefillTokens?: number | undefined;
  /** Blocks, by name, of the state that texts start from; those left out start as the model says. */
  readonly initialBlocks?: ReadonlyMap<string, Float32Array> | undefined;
  /** What was found out while loading, for people. */
  readonly notes?: readonly string[];
  /** For information. */
  readonly config?: RwkvConfig | undefined;
  /** Disposed of after the language model: what it stands on. */
  readonly owned?: readonly AsyncDisposable[];
}

export interface PrefillOptions {
  readonly state?: ModelState;
  readonly prependEndOfText?: boolean;
  readonly signal?: AbortSignal;
}

export interface EvaluateOptions extends PrefillOptions {
  /** Logits after every token, or (default) only after the last. */
  readonly rows?: 'last' | 'all';
  /** Gets each row instead of `EvaluateResult.logits`; the array is valid during the call only. */
  readonly onRow?: (logits: Rows, index: number) => void;
  readonly keepState?: boolean;
}

export interface EvaluateResult {
  /** [R, V], R rows. Empty when `onRow` took them. */
  readonly logits: Rows;
  /** R */
  readonly rows: number;
  /** The state after the last token, all tokens fed. */
  readonly state?: ModelState;
}

export interface LogprobsResult {
  /**
   * The tokens that were predicted: all but the first, or all where a state with a pending token or end-of-text came
   * before. With both, end-of-text is predicted too.
   */
  readonly tokens: Uint32Array;
  /** The natural logarithm of each one's probability, given everything before it. */
  readonly logprobs: Float64Array;
  /** 1 where the token was the likeliest of all, the lower id of two as likely; else 0. */
  readonly greedy: Uint8Array;
}

export interface PerplexityResult {
  /** exp(-mean logprob). */
  readonly perplexity: number;
  /** How many tokens were predicted. */
  readonly tokens: number;
  /** Sum over them. */
  readonly logprob: number;
}
