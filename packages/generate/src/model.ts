import type { RwkvConfig } from '@rwkv-ts/model';
import { createSampler } from '@rwkv-ts/sampler';
import { type Tokenizer, assertTokenizerFits } from '@rwkv-ts/tokenizer';
import {
  type ChatChunk,
  type ChatMessage,
  type ChatOptions,
  type ChatResult,
  chat,
  chatStream,
} from './chat.js';
import type { ChunkQueue } from './chunk-queue.js';
import { Conversation, type ConversationOptions } from './conversation.js';
import { GenerateError, modelDisposed } from './errors.js';
import { evaluate, logprobsOf } from './evaluation.js';
import { Generation, type GenerationResult, type StreamChunk } from './generation.js';
import type { LanguageModel } from './language-model.js';
import { ModelState, assertStateFits } from './model-state.js';
import type {
  CreateModelOptions,
  EvaluateOptions,
  EvaluateResult,
  LogprobsResult,
  PerplexityResult,
  PrefillOptions,
} from './model-types.js';
import {
  type GenerateOptions,
  type Prompt,
  type ResolvedGenerateOptions,
  presetFor,
  resolveGenerateOptions,
} from './options.js';
import {
  type PromptContext,
  type PromptStart,
  nonEmptyStartOf,
  requireTokenizer,
  startOf,
} from './prompt-start.js';
import { Scheduler, schedulerOptions } from './scheduler.js';
import { admittedBy, blocksOf, snapshotOf } from './state-blocks.js';
import { type StateFile, decodeState, encodeState } from './state-file.js';
import { StopMatcher } from './stop-matcher.js';
import { streamOf } from './stream.js';
import { type TokenClasses, tokenClasses } from './token-classes.js';

/**
 * A model on its own terms: `loadModel` makes one from a file. Any number of calls may run at the same time; they share
 * the device step by step, and a call's result does not depend on what runs beside it where the backend's rows do not
 * depend on the rest of the batch. Disposing rejects everything in progress with `MODEL_DISPOSED`.
 */
export class Model implements AsyncDisposable {
  readonly languageModel: LanguageModel;
  readonly tokenizer: Tokenizer | undefined;
  readonly config: RwkvConfig | undefined;
  readonly notes: readonly string[];
  /** The tuned state that texts start from when none is given. */
  readonly initialState: ModelState | undefined;
  readonly #scheduler: Scheduler;
  readonly #owned: readonly AsyncDisposable[];
  #tokenClasses: TokenClasses | undefined;
  #disposing: Promise<void> | undefined;

  private constructor(scheduler: Scheduler, options: CreateModelOptions) {
    this.languageModel = options.languageModel;
    this.tokenizer = options.tokenizer;
    this.config = options.config;
    this.notes = options.notes ?? [];
    this.#scheduler = scheduler;
    this.initialState = options.initialBlocks && this.createState(options.initialBlocks);
    this.#owned = options.owned ?? [];
  }

  /**
   * A model on any language model, which it owns from here on, also when this fails.
   * @throws GenerateError `OPTION_INVALID`; TokenizerError `VOCABULARY_MISMATCH`; what `createStates` throws
   */
  static async create(options: CreateModelOptions): Promise<Model> {
    const { languageModel, tokenizer } = options;
    try {
      if (tokenizer !== undefined) assertTokenizerFits(tokenizer, languageModel.vocabularySize);
      const scheduler = await Scheduler.create({
        languageModel,
        ...schedulerOptions(options),
      });
      try {
        return new Model(scheduler, options);
      } catch (error) {
        await scheduler[Symbol.asyncDispose]();
        throw error;
      }
    } catch (error) {
      await languageModel[Symbol.asyncDispose]();
      for (const owned of options.owned ?? []) await owned[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** V */
  get vocabularySize(): number {
    return this.languageModel.vocabularySize;
  }

  /** Identifies the weights; states belong to one fingerprint. */
  get fingerprint(): string {
    return this.languageModel.fingerprint;
  }

  /** Slots in all, sequences that hold one, and sequences that wait. */
  get load(): { readonly slots: number; readonly active: number; readonly queued: number } {
    const { slots, active, queued } = this.#scheduler;
    return { slots, active, queued };
  }

  /**
   * Goes on from the prompt. An abort gives what there is, with `finishReason: 'abort'`.
   * @throws GenerateError, SamplerError (as rejections)
   */
  async generate(prompt: Prompt, options: GenerateOptions = {}): Promise<GenerationResult> {
    return this.#generate(prompt, options);
  }

  /**
   * As `generate`, token by token. Nothing runs before the first chunk is asked for; leaving the loop ends the
   * generation and frees its slot. The last chunk carries the result.
   */
  stream(
    prompt: Prompt,
    options: GenerateOptions = {},
  ): AsyncGenerator<StreamChunk, void, undefined> {
    return streamOf<StreamChunk>({
      signal: options.signal,
      onDrain: () => {
        this.#scheduler.wake();
      },
      run: (queue, signal) => this.#generate(prompt, { ...options, signal }, queue),
    });
  }

  /** Answers the last of `messages`. Stateless: all of them are fed. */
  chat(messages: readonly ChatMessage[], options: ChatOptions = {}): Promise<ChatResult> {
    return chat(this, messages, options);
  }

  /** As `chat`, token by token. */
  chatStream(
    messages: readonly ChatMessage[],
    options: ChatOptions = {},
  ): AsyncGenerator<ChatChunk, void, undefined> {
    return chatStream(this, messages, options);
  }

  /** A conversation that keeps its state, so that each turn feeds only what is new. */
  conversation(options: ConversationOptions = {}): Conversation {
    return new Conversation(this, options);
  }

  /** @throws GenerateError `STATE_FILE_INVALID`, `STATE_MISMATCH` */
  loadConversation(bytes: Uint8Array, options: ConversationOptions = {}): Conversation {
    return Conversation.load(this, bytes, options);
  }

  /**
   * Feeds a prompt and keeps the state, for any number of generations to start from.
   * @throws GenerateError `ABORTED`, `PROMPT_INVALID`, …
   */
  async prefill(prompt: Prompt, options: PrefillOptions = {}): Promise<ModelState> {
    this.#requireOpen();
    const start = startOf(promptParts(prompt, options), this.#context);
    const fed = start.tokens.subarray(0, Math.max(0, start.tokens.length - 1));
    let snapshot = start.initial;
    if (fed.length > 0) {
      snapshot = await this.#scheduler.run({
        name: 'Prefill',
        initial: start.initial,
        tokens: fed,
        rows: 'none',
        keepState: true,
        signal: options.signal,
      });
    }
    return this.#stateOf(snapshot, {
      pending: [...start.tokens.subarray(fed.length)],
      tokenCount: start.cachedTokens + start.tokens.length,
    });
  }

  /** Logits after the last or after every token of the prompt. */
  async evaluate(prompt: Prompt, options: EvaluateOptions = {}): Promise<EvaluateResult> {
    this.#requireOpen();
    const start = nonEmptyStartOf(promptParts(prompt, options), this.#context);
    const { logits, rows, snapshot } = await evaluate(this.#scheduler, {
      start,
      options,
      vocabularySize: this.vocabularySize,
    });
    const tokenCount = start.cachedTokens + start.tokens.length;
    return {
      logits,
      rows,
      ...(options.keepState === true
        ? { state: this.#stateOf(snapshot, { pending: [], tokenCount }) }
        : {}),
    };
  }

  /**
   * How likely the model finds each token. Logits are looked at chunk by chunk and never held together.
   * @throws GenerateError `PROMPT_EMPTY` when there is no token to predict
   */
  async logprobs(prompt: Prompt, options: PrefillOptions = {}): Promise<LogprobsResult> {
    this.#requireOpen();
    const start = startOf(promptParts(prompt, options), this.#context);
    return logprobsOf(this.#scheduler, { start, signal: options.signal });
  }

  async perplexity(prompt: Prompt, options: PrefillOptions = {}): Promise<PerplexityResult> {
    const { logprobs } = await this.logprobs(prompt, options);
    const logprob = logprobs.reduce((sum, value) => sum + value, 0);
    return { perplexity: Math.exp(-logprob / logprobs.length), tokens: logprobs.length, logprob };
  }

  /**
   * A state from blocks of numbers by name, a tuned one for example; blocks left out are as in an empty state.
   * @throws GenerateError `STATE_FILE_INVALID` for names or lengths the model does not have
   */
  createState(blocks: ReadonlyMap<string, Float32Array>): ModelState {
    const snapshot = snapshotOf(this.languageModel.stateSpecs, blocks);
    return this.#stateOf(snapshot, { pending: [], tokenCount: 0 });
  }

  /** The numbers of a state by block name, copied; without the tokens it has pending. */
  stateBlocks(state: ModelState): ReadonlyMap<string, Float32Array> {
    assertStateFits(state, this.fingerprint);
    return blocksOf(this.languageModel.stateSpecs, state.snapshot);
  }

  /** The state as a portable file; `attachment` (any JSON value) travels along. */
  saveState(state: ModelState, attachment?: unknown): Uint8Array<ArrayBuffer> {
    assertStateFits(state, this.fingerprint);
    return encodeState(state, this.languageModel, attachment);
  }

  /** @throws GenerateError `STATE_FILE_INVALID`, `STATE_MISMATCH` */
  loadState(bytes: Uint8Array): StateFile {
    return decodeState(bytes, this.languageModel);
  }

  /** Rejects everything in progress, then frees states, weights and what the model owns. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#disposing ??= this.#dispose();
    return this.#disposing;
  }

  async #dispose(): Promise<void> {
    await this.#scheduler[Symbol.asyncDispose]();
    await this.languageModel[Symbol.asyncDispose]();
    for (const owned of this.#owned) await owned[Symbol.asyncDispose]();
  }

  get #context(): PromptContext {
    const { tokenizer, vocabularySize, fingerprint, initialState } = this;
    return { tokenizer, vocabularySize, fingerprint, initialState };
  }

  #requireOpen(): void {
    if (this.#disposing !== undefined) throw modelDisposed();
  }

  async #generate(
    prompt: Prompt,
    options: GenerateOptions,
    queue?: ChunkQueue<StreamChunk>,
  ): Promise<GenerationResult> {
    this.#requireOpen();
    const resolved = resolveGenerateOptions(options, {
      vocabularySize: this.vocabularySize,
      defaultPreset: presetFor(this.tokenizer, 'pipeline'),
    });
    const start = nonEmptyStartOf({ ...resolved, prompt }, this.#context);
    const generation = this.#createGeneration(resolved, queue);
    let snapshot: Uint8Array | undefined;
    try {
      snapshot = await this.#scheduler.run({
        name: 'Generation',
        initial: start.initial,
        tokens: start.tokens,
        rows: 'last',
        receive: (row) => generation.receive(row),
        candidates: {
          wanted: (count) => generation.wantsCandidates(count),
          receive: (row) => generation.receiveCandidates(row),
        },
        keepState: resolved.keepState,
        admitted: admittedBy(resolved.onStart, this.languageModel.stateSpecs),
        signal: resolved.signal,
        ...(queue === undefined ? {} : { paused: () => queue.full }),
      });
    } catch (error) {
      if (!(error instanceof GenerateError && error.code === 'ABORTED')) throw error;
      generation.finishReason = 'abort';
    }
    const { text, finishReason } = generation.end();
    const result = this.#resultOf({ generation, start, resolved, snapshot, finishReason });
    queue?.push({ text, finishReason, result });
    return result;
  }

  #createGeneration(
    {
      sampling,
      stops,
      stopTokens,
      maxTokens,
      keepLogprobs,
      ignoreEndOfText,
    }: ResolvedGenerateOptions,
    queue: ChunkQueue<StreamChunk> | undefined,
  ): Generation {
    if (stops.length > 0) requireTokenizer(this.tokenizer, this.vocabularySize);
    const endOfText = ignoreEndOfText ? undefined : this.tokenizer?.endOfText;
    this.#tokenClasses ??= tokenClasses(this.tokenizer, this.vocabularySize);
    const { penaltyExempt, missing } = this.#tokenClasses;
    return new Generation({
      sampler: createSampler(this.vocabularySize, {
        ...sampling,
        penaltyExempt: sampling.penaltyExempt ?? penaltyExempt,
        bannedTokens: [...missing, ...(sampling.bannedTokens ?? [])],
      }),
      decoder: this.tokenizer?.createDecoder(),
      stops: new StopMatcher(stops),
      stopTokens: new Set(endOfText === undefined ? stopTokens : [endOfText, ...stopTokens]),
      maxTokens,
      keepLogprobs,
      onToken:
        queue === undefined
          ? undefined
          : (chunk) => {
              queue.push(chunk);
            },
    });
  }

  #resultOf({
    generation,
    start,
    resolved,
    snapshot,
    finishReason,
  }: {
    generation: Generation;
    start: PromptStart;
    resolved: ResolvedGenerateOptions;
    snapshot: Uint8Array | undefined;
    finishReason: GenerationResult['finishReason'];
  }): GenerationResult {
    const { tokens, text, stop, logprobs, allFed } = generation;
    const promptTokens = start.cachedTokens + start.tokens.length;
    const state =
      snapshot === undefined
        ? undefined
        : this.#stateOf(snapshot, {
            pending: allFed ? [] : tokens.slice(-1),
            tokenCount: promptTokens + tokens.length,
          });
    return {
      text,
      tokens,
      finishReason,
      ...(stop === undefined ? {} : { stop }),
      usage: {
        promptTokens,
        cachedTokens: start.cachedTokens,
        completionTokens: tokens.length,
      },
      ...(resolved.keepLogprobs ? { logprobs } : {}),
      ...(state === undefined ? {} : { state }),
    };
  }

  #stateOf(
    snapshot: Uint8Array | undefined,
    { pending, tokenCount }: { pending: readonly number[]; tokenCount: number },
  ): ModelState {
    return new ModelState({ fingerprint: this.fingerprint, snapshot, pending, tokenCount });
  }
}

function promptParts(
  prompt: Prompt,
  { state, prependEndOfText = false }: PrefillOptions,
): { prompt: Prompt; state: ModelState | undefined; prependEndOfText: boolean } {
  return { prompt, state, prependEndOfText };
}
