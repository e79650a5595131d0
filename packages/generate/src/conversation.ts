/**
 * A chat that keeps its state. After each "Assistant:" the state is kept as a checkpoint: the next turn goes on from the
 * latest one that the messages still begin with, so undoing, regenerating and forking feed nothing twice.
 */
import {
  type ChatChunk,
  type ChatOptions,
  type ChatResult,
  answer,
  encodeSegments,
  lastResult,
} from './chat.js';
import { type ChatMessage, type ChatPrompt, renderChat, userText } from './chat-template.js';
import { type Checkpoint, matching, resumeFrom } from './checkpoint.js';
import { type Entry, decodeConversation, encodeAttachment } from './conversation-file.js';
import { GenerateError, optionInvalid } from './errors.js';
import type { Model } from './model.js';
import { ModelState } from './model-state.js';
import { omit } from './omit.js';
import { requireTokenizer } from './prompt-start.js';

/** Defaults for every turn, which `send` and `stream` may override. */
export interface ConversationOptions extends Omit<ChatOptions, 'keepState' | 'signal'> {
  readonly system?: string;
  /** History to begin with. */
  readonly messages?: readonly ChatMessage[];
  /** How many turns keep their states in host memory; older ones are fed again when they are undone. Default 4. */
  readonly checkpoints?: number;
}

export type TurnOptions = Omit<ChatOptions, 'keepState' | 'state' | 'style' | 'prependEndOfText'>;

export class Conversation {
  readonly #model: Model;
  readonly #options: ConversationOptions;
  readonly #kept: number;
  #entries: readonly Entry[];
  /** Oldest first. */
  #checkpoints: readonly Checkpoint[] = [];
  #busy = false;

  /** Made by `Model.conversation`. @throws GenerateError `OPTION_INVALID`, `TOKENIZER_REQUIRED` */
  constructor(model: Model, options: ConversationOptions) {
    requireTokenizer(model.tokenizer);
    const { system, messages = [], checkpoints = 4 } = options;
    if (!Number.isInteger(checkpoints) || checkpoints < 1) {
      throw optionInvalid('checkpoints', 'a positive integer', checkpoints);
    }
    this.#model = model;
    this.#options = options;
    this.#kept = checkpoints;
    const all: readonly ChatMessage[] =
      system === undefined ? messages : [{ role: 'system', content: system }, ...messages];
    this.#entries = all.map((message) => ({ message, fed: message.content }));
    // Bad history is an error now, not at the first turn.
    renderChat([...all, { role: 'user', content: '' }], options);
  }

  /**
   * A conversation saved by `save`; options are those of the constructor.
   * @throws GenerateError `STATE_FILE_INVALID`, `STATE_MISMATCH`, `OPTION_INVALID` when history is given twice
   */
  static load(model: Model, bytes: Uint8Array, options: ConversationOptions): Conversation {
    if (options.messages !== undefined || options.system !== undefined) {
      throw optionInvalid('messages and system', 'nothing: they are in the file', 'history');
    }
    const { entries, checkpoint } = decodeConversation(model.loadState(bytes));
    const conversation = new Conversation(model, {
      ...options,
      messages: entries.map(({ message }) => message),
    });
    conversation.#entries = entries;
    conversation.#checkpoints = checkpoint === undefined ? [] : [checkpoint];
    return conversation;
  }

  /** What was said, the system's message first. */
  get messages(): readonly ChatMessage[] {
    return this.#entries.map(({ message }) => message);
  }

  /**
   * Says something and waits for the answer; both join the history. A turn ended by the signal keeps what was said until
   * then, or is forgotten if that is nothing.
   * @throws GenerateError `CONVERSATION_BUSY`, and what `generate` throws; the turn is then forgotten
   */
  send(text: string, options: TurnOptions = {}): Promise<ChatResult> {
    return lastResult(this.stream(text, options));
  }

  /** As `send`, token by token. Leaving the loop ends the turn as the signal does. */
  async *stream(
    text: string,
    options: TurnOptions = {},
  ): AsyncGenerator<ChatChunk, void, undefined> {
    if (typeof text !== 'string') throw new TypeError('A message is a string');
    this.#begin();
    try {
      const settings = { ...this.#options, ...options };
      const message: ChatMessage = { role: 'user', content: text };
      yield* this.#turn({ message, fed: userText(text, settings) }, settings);
    } finally {
      this.#busy = false;
    }
  }

  /**
   * Answers the last message anew.
   * @throws GenerateError `OPTION_INVALID` when there is no answer yet
   */
  regenerate(options: TurnOptions = {}): Promise<ChatResult> {
    return lastResult(this.regenerateStream(options));
  }

  /** As `regenerate`, token by token. Until the new answer has begun, a failure leaves the old one in place. */
  async *regenerateStream(options: TurnOptions = {}): AsyncGenerator<ChatChunk, void, undefined> {
    this.#begin();
    const before = this.#entries;
    try {
      const [question, said] = before.slice(-2);
      if (question?.message.role !== 'user' || said?.message.role !== 'assistant') {
        throw optionInvalid('regenerate', 'an answer to replace', 'none');
      }
      this.#entries = before.slice(0, -2);
      yield* this.#turn(question, { ...this.#options, ...options });
    } finally {
      if (this.#entries.length < before.length) this.#entries = before;
      this.#busy = false;
    }
  }

  /** Takes back the last question and its answer; gives them, or nothing when there are none. */
  undo(): readonly ChatMessage[] {
    this.#requireIdle();
    const lastUser = this.#entries.findLastIndex(({ message }) => message.role === 'user');
    if (lastUser < 0) return [];
    const removed = this.#entries.slice(lastUser);
    this.#entries = this.#entries.slice(0, lastUser);
    return removed.map(({ message }) => message);
  }

  /** An independent conversation that goes on from here; it shares the states, which never change. */
  fork(): Conversation {
    this.#requireIdle();
    const copy = new Conversation(this.#model, omit(this.#options, 'system', 'messages'));
    copy.#entries = this.#entries;
    copy.#checkpoints = this.#checkpoints;
    return copy;
  }

  /** Forgets all but the system's message. */
  reset(): void {
    this.#requireIdle();
    this.#entries = this.#entries.slice(0, this.#entries[0]?.message.role === 'system' ? 1 : 0);
  }

  /** The conversation with its latest state, as a state file; `Model.loadConversation` reads it. */
  save(): Uint8Array<ArrayBuffer> {
    this.#requireIdle();
    const next: Entry = { message: { role: 'user', content: '' }, fed: '' };
    const { segments } = renderChat(fedMessages([...this.#entries, next]), this.#options);
    const checkpoint = matching(this.#checkpoints, segments).at(-1);
    const state = checkpoint?.after?.state ?? checkpoint?.prompted ?? this.#initialState();
    return this.#model.saveState(state, encodeAttachment(this.#entries, checkpoint));
  }

  async *#turn(entry: Entry, settings: ChatOptions): AsyncGenerator<ChatChunk, void, undefined> {
    const entries = [...this.#entries, entry];
    // Both are in what is fed already: the remark in the user's text, end-of-text in the prompted state.
    const options = omit(settings, 'thinkLength', 'prependEndOfText');
    const template = renderChat(fedMessages(entries), options);
    const prompted = await this.#prompted(template.segments, options.signal);
    // Aborted while the prompt was read: the generation ends at once, with the result an abort gives.
    const start =
      prompted === undefined ? options : { ...options, state: prompted, keepState: true };
    const tokenizer = requireTokenizer(this.#model.tokenizer);
    const prompt = prompted === undefined ? Uint32Array.of(0) : tokenizer.encode(template.opener);
    const turn: Turn = { entries, template, prompted, text: '', reasoning: '', result: undefined };
    let failed = false;
    try {
      for await (const chunk of answer(this.#model, { prompt, template }, start)) {
        turn.text += chunk.text;
        turn.reasoning += chunk.reasoning;
        turn.result = chunk.result;
        // The history is complete before the reader sees the end, and may ask for what was said.
        if (turn.result !== undefined) this.#commit(turn);
        yield chunk;
      }
    } catch (error) {
      failed = true;
      throw error;
    } finally {
      if (!failed && turn.result === undefined) this.#commit(turn);
    }
  }

  /** The state after the last "Assistant:"; undefined when the signal fired meanwhile. */
  async #prompted(
    segments: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<ModelState | undefined> {
    const resume = resumeFrom(this.#checkpoints, segments);
    const tokens = encodeSegments(requireTokenizer(this.#model.tokenizer), resume.segments);
    if (resume.state !== undefined && tokens.length === 0) return resume.state;
    const { prependEndOfText = false } = this.#options;
    try {
      return await this.#model.prefill(tokens, {
        ...stateOption(resume.state ?? this.#options.state),
        prependEndOfText: prependEndOfText && resume.state === undefined,
        ...(signal === undefined ? {} : { signal }),
      });
    } catch (error) {
      if (error instanceof GenerateError && error.code === 'ABORTED') return undefined;
      throw error;
    }
  }

  #commit({ entries, template, prompted, text, reasoning, result }: Turn): void {
    const isStopped = result === undefined || result.finishReason === 'abort';
    if (isStopped && text === '' && reasoning === '') return;
    const message: ChatMessage = {
      role: 'assistant',
      content: text,
      ...(reasoning === '' ? {} : { reasoning }),
    };
    this.#entries = [...entries, { message, fed: text }];
    const tokenizer = requireTokenizer(this.#model.tokenizer);
    const after =
      result?.state === undefined
        ? undefined
        : { state: result.state, raw: template.opener + tokenizer.decode(result.tokens) };
    const covered = template.segments.join('');
    this.#checkpoints = [
      ...this.#checkpoints.filter((checkpoint) => checkpoint.text !== covered),
      { count: template.segments.length, text: covered, prompted, after },
    ].slice(-this.#kept);
  }

  #initialState(): ModelState {
    const { fingerprint, initialState } = this.#model;
    return (
      this.#options.state ??
      initialState ??
      new ModelState({ fingerprint, snapshot: undefined, pending: [], tokenCount: 0 })
    );
  }

  #begin(): void {
    this.#requireIdle();
    this.#busy = true;
  }

  #requireIdle(): void {
    if (!this.#busy) return;
    throw new GenerateError({
      code: 'CONVERSATION_BUSY',
      message: 'The conversation is answering; wait for it, abort it, or fork before asking',
    });
  }
}

/** A turn on its way. */
interface Turn {
  readonly entries: readonly Entry[];
  readonly template: ChatPrompt;
  readonly prompted: ModelState | undefined;
  text: string;
  reasoning: string;
  result: ChatResult | undefined;
}

function fedMessages(entries: readonly Entry[]): ChatMessage[] {
  return entries.map(({ message: { role }, fed }) => ({ role, content: fed }));
}

function stateOption(state: ModelState | undefined): { state?: ModelState } {
  return state === undefined ? {} : { state };
}
