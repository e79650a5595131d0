/** What the engine asks of a conversation, whichever way its text is laid out. */
import type { ChatChunk, GenerateOptions, StreamChunk } from '@rwkv-ts/generate';
import type { Message, Mode, TurnSettings } from '../protocol/messages.js';

/** What is written, token by token; the last one carries the result. */
export type Chunk = (StreamChunk & { readonly reasoning?: string }) | ChatChunk;

export interface TurnContext {
  readonly settings: TurnSettings;
  readonly signal: AbortSignal;
  readonly onStart: NonNullable<GenerateOptions['onStart']>;
}

export interface Thread {
  readonly mode: Mode;
  readonly system: string;
  /** Without the system's. */
  readonly messages: readonly Message[];
  /** Bytes of the states that are kept to go back to. */
  readonly keptBytes: number;
  say(text: string, context: TurnContext): AsyncIterable<Chunk>;
  regenerate(context: TurnContext): AsyncIterable<Chunk>;
  /** Keeps the first `count` messages. Nothing is read again. */
  rewind(count: number): void;
  fork(): Thread;
  save(): Uint8Array<ArrayBuffer>;
}

/** Bytes that one conversation may spend on states to go back to; more turns than that are read again when needed. */
const keptBudget = 512 * 2 ** 20;

/** Turns whose states are kept: two a turn, one before and one after the answer. */
export function keptTurns(stateBytes: number): number {
  return Math.min(1000, Math.max(4, Math.floor(keptBudget / (2 * stateBytes))));
}

/** Settings as the model's options; what is off is left out. */
export function generateOptionsOf({ settings, signal, onStart }: TurnContext): GenerateOptions {
  const { temperature, topP, topK, minP, presencePenalty, frequencyPenalty } = settings;
  const { penaltyDecay, maxTokens, seed } = settings;
  return {
    // Everything a preset says is said here; this one says nothing else.
    preset: 'greedy',
    temperature,
    topP,
    ...(topK > 0 ? { topK } : {}),
    minP,
    presencePenalty,
    frequencyPenalty,
    penaltyDecay,
    maxTokens,
    ...(seed === undefined ? {} : { seed }),
    signal,
    onStart,
  };
}
