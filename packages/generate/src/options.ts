import { type SamplerOptions, samplerPresets } from '@rwkv-ts/sampler';
import type { Tokenizer } from '@rwkv-ts/tokenizer';
import { GenerateError, optionInvalid } from './errors.js';
import type { ModelState } from './model-state.js';

/** Text, or token ids below the vocabulary size. */
export type Prompt = string | readonly number[] | Uint32Array;

export type SamplerPresetName = keyof typeof samplerPresets;

/** The state of a text in the making, block by block; undefined when it has ended. @throws BackendError */
export type ReadState = () => Promise<ReadonlyMap<string, Float32Array> | undefined>;

/** How a text goes on. Sampler options override those of the preset, one by one. */
export interface GenerateOptions extends SamplerOptions {
  /**
   * Sampler settings by name. Default: `pipeline`; in a chat `rwkv-chat`, or `reasoning` when the model thinks. Models that
   * read and write bytes: `bytes`, as the others would penalise the letters of words.
   */
  readonly preset?: SamplerPresetName;
  /** Most tokens to make: a positive integer, or Infinity. Default 256. */
  readonly maxTokens?: number;
  /** The text ends before the first of these; none of it is ever given out. */
  readonly stop?: string | readonly string[];
  /** The text ends before the first of these tokens. End-of-text always counts, unless `ignoreEndOfText`. */
  readonly stopTokens?: readonly number[];
  /** Goes on after the end-of-text token as after any other. */
  readonly ignoreEndOfText?: boolean;
  /** Where to start from, instead of an empty state. Penalties count the tokens of the new text only. */
  readonly state?: ModelState;
  /** Whether the result carries the state after its last token, to go on from. */
  readonly keepState?: boolean;
  /**
   * Called once when the text begins, with a function that reads its state as it is at that moment: blocks of numbers by
   * name, or undefined when the text has ended. Each call copies the whole state from the device, between two steps.
   */
  readonly onStart?: (readState: ReadState) => void;
  /** Whether the result lists the logprob of every token. `topLogprobs` above 0 implies it. */
  readonly logprobs?: boolean;
  /** Feeds the end-of-text token before the prompt, as training documents begin. Default false. */
  readonly prependEndOfText?: boolean;
  /** Ends the text early: the result then says `finishReason: 'abort'`. */
  readonly signal?: AbortSignal;
}

/** The sampler settings of a model whose caller names none. */
export function presetFor(
  tokenizer: Tokenizer | undefined,
  usual: SamplerPresetName,
): SamplerPresetName {
  return tokenizer?.name === 'bytes' ? 'bytes' : usual;
}

/** `GenerateOptions` with everything decided but what depends on the tokenizer. */
export interface ResolvedGenerateOptions {
  readonly sampling: SamplerOptions;
  readonly maxTokens: number;
  readonly stops: readonly string[];
  readonly stopTokens: readonly number[];
  readonly ignoreEndOfText: boolean;
  readonly state: ModelState | undefined;
  readonly keepState: boolean;
  readonly keepLogprobs: boolean;
  readonly onStart: ((readState: ReadState) => void) | undefined;
  readonly prependEndOfText: boolean;
  readonly signal: AbortSignal | undefined;
}

/** @throws GenerateError `OPTION_INVALID` */
export function resolveGenerateOptions(
  options: GenerateOptions,
  { vocabularySize, defaultPreset }: { vocabularySize: number; defaultPreset: SamplerPresetName },
): ResolvedGenerateOptions {
  const {
    preset = defaultPreset,
    maxTokens = 256,
    stop = [],
    stopTokens = [],
    ignoreEndOfText = false,
    state,
    keepState = false,
    onStart,
    logprobs = false,
    prependEndOfText = false,
    signal,
    ...sampling
  } = options;
  if (!Object.hasOwn(samplerPresets, preset)) {
    throw optionInvalid('preset', `one of ${Object.keys(samplerPresets).join(', ')}`, preset);
  }
  if (maxTokens !== Infinity && !(Number.isSafeInteger(maxTokens) && maxTokens >= 1)) {
    throw optionInvalid('maxTokens', 'a positive integer or Infinity', maxTokens);
  }
  for (const token of stopTokens) checkToken('stopTokens', token, vocabularySize);
  return {
    sampling: { ...samplerPresets[preset], ...dropUndefined(sampling) },
    maxTokens,
    stops: typeof stop === 'string' ? [stop] : stop,
    stopTokens,
    ignoreEndOfText,
    state,
    keepState,
    onStart,
    keepLogprobs: logprobs || (sampling.topLogprobs ?? 0) > 0,
    prependEndOfText,
    signal,
  };
}

/** An option given as `undefined` is not given: it must not hide the preset's. */
function dropUndefined(options: SamplerOptions): SamplerOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

/** @throws GenerateError `OPTION_INVALID` */
export function checkToken(name: string, token: number, vocabularySize: number): void {
  if (Number.isInteger(token) && token >= 0 && token < vocabularySize) return;
  throw optionInvalid(name, `token ids from 0 to ${vocabularySize - 1}`, token);
}

/** @throws GenerateError `PROMPT_INVALID` */
export function checkPromptTokens(tokens: ArrayLike<number>, vocabularySize: number): void {
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i]!;
    if (Number.isInteger(token) && token >= 0 && token < vocabularySize) continue;
    throw new GenerateError({
      code: 'PROMPT_INVALID',
      message: `Token ${i} of the prompt should be an id from 0 to ${vocabularySize - 1}, got ${String(token)}`,
      expected: vocabularySize - 1,
      got: token,
    });
  }
}
