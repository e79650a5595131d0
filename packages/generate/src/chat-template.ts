/** The RWKV chat format: "System: …\n\nUser: …\n\nAssistant:", and what is put after the last colon to steer thinking. */
import { GenerateError, optionInvalid } from './errors.js';

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
  /** What an answer was thought out with. Shown to people; never fed again. */
  readonly reasoning?: string;
}

export interface ChatTemplateOptions {
  /**
   * `g1` (default): answers may hold blank lines and end where the next "User:" would begin. `world`: the older World
   * models, whose answers end at the first blank line.
   */
  readonly style?: 'g1' | 'world';
  /**
   * `none` (default): the model decides. `think`: it reasons first. `fake`: it is given an empty thought, which makes
   * answers better than `none` and costs nothing. For models trained to think (G1 and later).
   */
  readonly think?: 'none' | 'fake' | 'think';
  /** Asks for more or less reasoning (G1c and later) by a remark after the user's text. */
  readonly thinkLength?: 'short' | 'normal' | 'long';
  /** What follows "Assistant:" instead of the mode's own, for example ` <think>好的` to think in Chinese. */
  readonly opener?: string;
}

export interface ChatPrompt {
  /**
   * The prompt in pieces, cut after each "Assistant:", where a model's own tokens begin. Each is encoded by itself, so
   * that a conversation fed turn by turn has the same tokens as one fed at once.
   */
  readonly segments: readonly string[];
  /** Put after the last segment. */
  readonly opener: string;
  readonly stops: readonly string[];
}

const labels = { system: 'System', user: 'User', assistant: 'Assistant' } as const;
// No mode's opener ends with a space or a full tag: the tokens that would have continued it were never seen split there.
const openers = { none: '', fake: ' <think>\n</think', think: ' <think' } as const;
const lengthRemarks = {
  short: ' (think a bit)',
  normal: ' (think)',
  long: ' (think a lot)',
} as const;

/** A blank line separates turns, so a message cannot hold one. */
export function cleanMessage(text: string): string {
  return text
    .replaceAll('\r\n', '\n')
    .replace(/\n{2,}/g, '\n')
    .trim();
}

/** An answer as history: without the reasoning that a model may have written out. */
export function cleanAnswer(text: string, style: ChatTemplateOptions['style'] = 'g1'): string {
  const answer = dropReasoning(text);
  return style === 'world' ? cleanMessage(answer) : answer.replaceAll('\r\n', '\n').trim();
}

/** Without `<think>…</think>` blocks; an unclosed one, cut off while thinking, goes to the end. */
function dropReasoning(text: string): string {
  let rest = text;
  let kept = '';
  for (;;) {
    const start = rest.indexOf('<think>');
    if (start < 0) return kept + rest;
    kept += rest.slice(0, start);
    const end = rest.indexOf('</think>', start);
    if (end < 0) return kept;
    rest = rest.slice(end + '</think>'.length);
  }
}

/** The user's text as it is fed. */
export function userText(text: string, { thinkLength }: ChatTemplateOptions): string {
  return cleanMessage(text) + (thinkLength === undefined ? '' : lengthRemarks[thinkLength]);
}

/**
 * Lays out messages for the model to answer the last one, which is the user's. The remark of `thinkLength` goes to that
 * one only.
 * @throws GenerateError `PROMPT_INVALID` for messages in another order, `OPTION_INVALID`
 */
export function renderChat(
  messages: readonly ChatMessage[],
  options: ChatTemplateOptions = {},
): ChatPrompt {
  const { style = 'g1', think = 'none', thinkLength } = options;
  oneOf('style', style, ['g1', 'world']);
  oneOf('think', think, Object.keys(openers));
  if (thinkLength !== undefined) oneOf('thinkLength', thinkLength, Object.keys(lengthRemarks));
  checkOrder(messages);
  const segments: string[] = [];
  let segment = '';
  for (const [index, { role, content }] of messages.entries()) {
    segment += `${labels[role]}:`;
    if (role === 'assistant') {
      segments.push(segment);
      segment = '';
    }
    const isLast = index === messages.length - 1;
    const text = textOf({ role, content }, isLast ? options : { style });
    segment += text === '' ? '\n\n' : ` ${text}\n\n`;
  }
  segments.push(`${segment}${labels.assistant}:`);
  const blankLineEnds = style === 'world' && think === 'none' && options.opener === undefined;
  return {
    segments,
    opener: options.opener ?? openers[think],
    stops: blankLineEnds ? ['\n\n'] : ['\n\nUser:'],
  };
}

function textOf({ role, content }: ChatMessage, options: ChatTemplateOptions): string {
  if (role === 'assistant') return cleanAnswer(content, options.style);
  return role === 'user' ? userText(content, options) : cleanMessage(content);
}

function checkOrder(messages: readonly ChatMessage[]): void {
  for (const [index, { role, content }] of messages.entries()) {
    if (!Object.hasOwn(labels, role))
      throw invalidMessages(`message ${index}`, Object.keys(labels).join(', '), role);
    if (typeof content !== 'string')
      throw new TypeError(`The content of message ${index} is no string`);
    if (role === 'system' && index > 0)
      throw invalidMessages(`message ${index}`, 'user or assistant', role);
  }
  const last = messages.at(-1)?.role ?? 'none';
  if (last !== 'user') throw invalidMessages('the last message', 'user', last);
}

function invalidMessages(which: string, expected: string, got: string): GenerateError {
  return new GenerateError({
    code: 'PROMPT_INVALID',
    message: `The role of ${which} should be ${expected}, got ${got}`,
    expected,
    got,
  });
}

function oneOf(name: string, value: string, allowed: readonly string[]): void {
  if (!allowed.includes(value)) throw optionInvalid(name, `one of ${allowed.join(', ')}`, value);
}
