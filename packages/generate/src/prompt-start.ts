import { type Tokenizer, tokenizerFor } from '@rwkv-ts/tokenizer';
import { GenerateError } from './errors.js';
import { type ModelState, assertStateFits } from './model-state.js';
import { type Prompt, checkPromptTokens } from './options.js';

export interface PromptContext {
  readonly tokenizer: Tokenizer | undefined;
  readonly vocabularySize: number;
  readonly fingerprint: string;
  /** Where texts without a state start from. */
  readonly initialState: ModelState | undefined;
}

export interface PromptStart {
  /** To feed: the state's pending tokens, then the prompt's. */
  readonly tokens: Uint32Array;
  /** How many of `tokens` the state brought. */
  readonly pending: number;
  /** The snapshot to start from. */
  readonly initial: Uint8Array | undefined;
  /** Tokens that the state spares feeding. */
  readonly cachedTokens: number;
}

export interface PromptParts {
  readonly prompt: Prompt;
  readonly state: ModelState | undefined;
  readonly prependEndOfText: boolean;
}

/** @throws GenerateError `PROMPT_INVALID`, `TOKENIZER_REQUIRED`, `STATE_MISMATCH` */
export function startOf(parts: PromptParts, context: PromptContext): PromptStart {
  const { prompt, state = context.initialState, prependEndOfText } = parts;
  if (state !== undefined) assertStateFits(state, context.fingerprint);
  const pending = state?.pending ?? [];
  const front = prependEndOfText ? [endOfTextOf(context)] : [];
  const own = tokensOf(prompt, context);
  const tokens = new Uint32Array(pending.length + front.length + own.length);
  tokens.set(pending);
  tokens.set(front, pending.length);
  tokens.set(own, pending.length + front.length);
  return {
    tokens,
    pending: pending.length,
    initial: state?.snapshot,
    cachedTokens: (state?.tokenCount ?? 0) - pending.length,
  };
}

/**
 * As `startOf`, with at least one token to feed: an empty prompt on an empty state starts a new text, as after
 * end-of-text.
 * @throws GenerateError `PROMPT_EMPTY` where nothing says how
 */
export function nonEmptyStartOf(parts: PromptParts, context: PromptContext): PromptStart {
  const start = startOf(parts, context);
  if (start.tokens.length > 0) return start;
  const endOfText = context.tokenizer?.endOfText;
  if (endOfText !== undefined && start.cachedTokens === 0) {
    return { ...start, tokens: Uint32Array.of(endOfText) };
  }
  throw new GenerateError({
    code: 'PROMPT_EMPTY',
    message:
      start.cachedTokens > 0
        ? 'The prompt is empty, and the state it starts from has no token left to go on with: give a prompt'
        : 'The prompt is empty, and the tokenizer has no end-of-text token to start a text with: give a prompt',
  });
}

function tokensOf(prompt: Prompt, context: PromptContext): ArrayLike<number> {
  if (typeof prompt === 'string') {
    return prompt === ''
      ? []
      : requireTokenizer(context.tokenizer, context.vocabularySize).encode(prompt);
  }
  if (!Array.isArray(prompt) && !(prompt instanceof Uint32Array)) {
    throw new TypeError(
      'A prompt is a string, or token ids as an array of numbers or a Uint32Array',
    );
  }
  checkPromptTokens(prompt, context.vocabularySize);
  return prompt;
}

function endOfTextOf({ tokenizer, vocabularySize }: PromptContext): number {
  const { endOfText, name } = requireTokenizer(tokenizer, vocabularySize);
  if (endOfText !== undefined) return endOfText;
  throw new GenerateError({
    code: 'OPTION_INVALID',
    message: `prependEndOfText: the ${name} tokenizer has no end-of-text token`,
  });
}

/** @throws GenerateError `TOKENIZER_REQUIRED` */
export function requireTokenizer(
  tokenizer: Tokenizer | undefined,
  vocabularySize?: number,
): Tokenizer {
  if (tokenizer !== undefined) return tokenizer;
  throw new GenerateError({
    code: 'TOKENIZER_REQUIRED',
    message: missingTokenizer(vocabularySize),
    expected: vocabularySize === undefined ? undefined : tokenizerFor(vocabularySize),
  });
}

/** What to pass for a model that came without one. */
export function missingTokenizer(vocabularySize?: number): string {
  const kind = vocabularySize === undefined ? undefined : tokenizerFor(vocabularySize);
  const wanted =
    kind === 'world'
      ? 'a vocabulary of 65536 is that of the World models: pass tokenizer: await loadTokenizer(bytes of rwkv_vocab_v20230424.txt)'
      : kind === '20b'
        ? `a vocabulary of ${vocabularySize!} is that of the Pile models: pass tokenizer: await loadTokenizer(bytes of 20B_tokenizer.json)`
        : 'pass its tokenizer';
  return `The model came without a tokenizer, so it takes and gives token ids only; ${wanted} (from @rwkv-ts/tokenizer)`;
}
