import type { Tokenizer } from '@rwkv-ts/tokenizer';
import {
  type ChatMessage,
  type ChatPrompt,
  type ChatTemplateOptions,
  renderChat,
} from './chat-template.js';
import type { FinishReason, GenerationResult, StreamChunk, TokenLogprob } from './generation.js';
import type { Model } from './model.js';
import { omit } from './omit.js';
import { type GenerateOptions, presetFor, type Prompt } from './options.js';
import { requireTokenizer } from './prompt-start.js';
import { ReasoningSplitter } from './reasoning.js';

export type { ChatMessage, ChatTemplateOptions } from './chat-template.js';

/** As for `generate`; `maxTokens` is 1024 here, and 4096 when the model thinks. `stop` adds to the template's. */
export interface ChatOptions extends GenerateOptions, ChatTemplateOptions {}

export interface ChatResult extends GenerationResult {
  /** The answer, without white space around it. */
  readonly text: string;
  /** What the model thought first; absent where it did not think. */
  readonly reasoning?: string;
  /** The answer as a message, to put at the end of the history. */
  readonly message: ChatMessage;
}

export interface ChatChunk {
  readonly text: string;
  readonly reasoning: string;
  /** Absent in the last chunk. */
  readonly token?: number;
  readonly logprob?: number;
  readonly topLogprobs?: readonly TokenLogprob[];
  /** Only in the last chunk. */
  readonly finishReason?: FinishReason;
  /** Only in the last chunk. */
  readonly result?: ChatResult;
}

export async function chat(
  model: Model,
  messages: readonly ChatMessage[],
  options: ChatOptions,
): Promise<ChatResult> {
  return lastResult(chatStream(model, messages, options));
}

export async function* chatStream(
  model: Model,
  messages: readonly ChatMessage[],
  options: ChatOptions,
): AsyncGenerator<ChatChunk, void, undefined> {
  const template = renderChat(messages, options);
  const tokens = encodeSegments(requireTokenizer(model.tokenizer), [
    ...template.segments,
    template.opener,
  ]);
  yield* answer(model, { prompt: tokens, template }, options);
}

/** Runs a chat's stream to its end. */
export async function lastResult(chunks: AsyncIterable<ChatChunk>): Promise<ChatResult> {
  let result: ChatResult | undefined;
  for await (const chunk of chunks) result = chunk.result ?? result;
  return result!;
}

export function encodeSegments(tokenizer: Tokenizer, segments: readonly string[]): Uint32Array {
  const parts = segments.map((segment) => tokenizer.encode(segment));
  const tokens = new Uint32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    tokens.set(part, offset);
    offset += part.length;
  }
  return tokens;
}

/** Generates after `prompt`, which ends with the template's opener, and separates reasoning from answer. */
export async function* answer(
  model: Model,
  { prompt, template }: { prompt: Prompt; template: ChatPrompt },
  options: ChatOptions,
): AsyncGenerator<ChatChunk, void, undefined> {
  const splitter = new ReasoningSplitter(template.opener);
  const said = { text: '', reasoning: '' };
  for await (const { text, finishReason, result, ...token } of model.stream(
    prompt,
    generateOptions(template, { options, tokenizer: model.tokenizer }),
  )) {
    const part = splitter.push(text);
    const rest = result === undefined ? { text: '', reasoning: '' } : splitter.flush();
    const chunk = { text: part.text + rest.text, reasoning: part.reasoning + rest.reasoning };
    said.text += chunk.text;
    said.reasoning += chunk.reasoning;
    yield { ...token, ...chunk, ...ending({ finishReason, result }, said) };
  }
}

function ending(
  {
    finishReason,
    result,
  }:
    | Pick<StreamChunk, 'finishReason' | 'result'>
    | {
        finishReason: FinishReason | undefined;
        result: GenerationResult | undefined;
      },
  { text, reasoning }: { text: string; reasoning: string },
): { finishReason?: FinishReason; result?: ChatResult } {
  if (result === undefined || finishReason === undefined) return {};
  const parts = { ...(reasoning === '' ? {} : { reasoning }) };
  const message: ChatMessage = { role: 'assistant', content: text, ...parts };
  return { finishReason, result: { ...result, text, ...parts, message } };
}

/** The chat's own options go to the template; the rest, completed, to the generation. */
function generateOptions(
  template: ChatPrompt,
  { options, tokenizer }: { options: ChatOptions; tokenizer: Tokenizer | undefined },
): GenerateOptions {
  const { think, stop = [] } = options;
  return {
    preset: presetFor(tokenizer, think === 'think' ? 'reasoning' : 'rwkv-chat'),
    maxTokens: think === 'think' ? 4096 : 1024,
    ...omit(options, 'style', 'think', 'thinkLength', 'opener'),
    stop: [...template.stops, ...(typeof stop === 'string' ? [stop] : stop)],
  };
}
