/** Turns in the RWKV chat format. `Conversation` of the generate package keeps the states; see its README. */
import type { Conversation, Model } from '@rwkv-ts/generate';
import { stateBytesOf } from '@rwkv-ts/generate';
import type { Message } from '../protocol/messages.js';
import {
  type Chunk,
  type Thread,
  type TurnContext,
  generateOptionsOf,
  keptTurns,
} from './thread.js';

export class ChatThread implements Thread {
  readonly mode = 'chat';
  readonly #conversation: Conversation;
  readonly #stateBytes: number;

  private constructor(conversation: Conversation, stateBytes: number) {
    this.#conversation = conversation;
    this.#stateBytes = stateBytes;
  }

  static create(model: Model, system: string): ChatThread {
    const stateBytes = stateBytesOf(model.languageModel.stateSpecs);
    const checkpoints = keptTurns(stateBytes);
    const options = system.trim() === '' ? { checkpoints } : { checkpoints, system };
    return new ChatThread(model.conversation(options), stateBytes);
  }

  /** @throws GenerateError `STATE_FILE_INVALID`, `STATE_MISMATCH` */
  static restore(model: Model, bytes: Uint8Array): ChatThread {
    const stateBytes = stateBytesOf(model.languageModel.stateSpecs);
    const checkpoints = keptTurns(stateBytes);
    return new ChatThread(model.loadConversation(bytes, { checkpoints }), stateBytes);
  }

  get system(): string {
    const [first] = this.#conversation.messages;
    return first?.role === 'system' ? first.content : '';
  }

  get messages(): readonly Message[] {
    return this.#conversation.messages
      .filter(({ role }) => role !== 'system')
      .map(({ role, content, reasoning }) => ({
        role,
        text: content,
        ...(reasoning === undefined ? {} : { reasoning }),
      }));
  }

  get keptBytes(): number {
    const turns = this.messages.filter(({ role }) => role === 'assistant').length;
    return Math.min(turns, keptTurns(this.#stateBytes)) * 2 * this.#stateBytes;
  }

  say(text: string, context: TurnContext): AsyncIterable<Chunk> {
    return this.#conversation.stream(text, turnOptions(context));
  }

  regenerate(context: TurnContext): AsyncIterable<Chunk> {
    return this.#conversation.regenerateStream(turnOptions(context));
  }

  rewind(count: number): void {
    while (this.messages.length > count && this.#conversation.undo().length > 0);
  }

  fork(): ChatThread {
    return new ChatThread(this.#conversation.fork(), this.#stateBytes);
  }

  save(): Uint8Array<ArrayBuffer> {
    return this.#conversation.save();
  }
}

function turnOptions(context: TurnContext): Parameters<Conversation['stream']>[1] {
  const { think, thinkLength } = context.settings;
  const remark = think === 'think' && thinkLength !== undefined ? { thinkLength } : {};
  return { ...generateOptionsOf(context), think, ...remark };
}
