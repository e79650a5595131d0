import { describe, expect, it } from 'vitest';
import {
  type ChatMessage,
  type ChatTemplateOptions,
  cleanMessage,
  renderChat,
} from './chat-template.js';
import { GenerateError } from './errors.js';

function promptOf(messages: readonly ChatMessage[], options: ChatTemplateOptions = {}): string {
  const { segments, opener } = renderChat(messages, options);
  return segments.join('') + opener;
}

const user = (content: string): ChatMessage => ({ role: 'user', content });
const assistant = (content: string): ChatMessage => ({ role: 'assistant', content });

describe('renderChat', () => {
  it('writes a question', () => {
    expect(promptOf([user('xxx')])).toBe('User: xxx\n\nAssistant:');
    expect(promptOf([{ role: 'system', content: 'Be\n\nbrief.' }, user('xxx')])).toBe(
      'System: Be\nbrief.\n\nUser: xxx\n\nAssistant:',
    );
  });

  it('writes several turns, cut where a model begins to speak', () => {
    const { segments } = renderChat([user('a'), assistant('b'), user('c')]);
    expect(segments).toEqual(['User: a\n\nAssistant:', ' b\n\nUser: c\n\nAssistant:']);
    expect(promptOf([user('a'), assistant(''), user('c')])).toBe(
      'User: a\n\nAssistant:\n\nUser: c\n\nAssistant:',
    );
    expect(promptOf([user('a'), user('b')])).toBe('User: a\n\nUser: b\n\nAssistant:');
  });

  it('cleans what separates turns', () => {
    expect(cleanMessage('  a\r\n\r\n\n b \n')).toBe('a\n b');
    expect(promptOf([user('a\n\nAssistant: b\n\n\n')])).toBe('User: a\nAssistant: b\n\nAssistant:');
  });

  it('drops earlier reasoning', () => {
    const answers = ['<think>hm</think>\n\nyes\n\nno', ' yes\n\nno<think>cut off'];
    for (const answer of answers) {
      expect(promptOf([user('a'), assistant(answer), user('b')])).toBe(
        'User: a\n\nAssistant: yes\n\nno\n\nUser: b\n\nAssistant:',
      );
    }
    expect(promptOf([user('a'), assistant('yes\r\n\r\nno'), user('b')], { style: 'world' })).toBe(
      'User: a\n\nAssistant: yes\nno\n\nUser: b\n\nAssistant:',
    );
  });

  it('steers thinking', () => {
    const end = (options: ChatTemplateOptions): string => promptOf([user('q')], options);
    expect(end({ think: 'none' })).toBe('User: q\n\nAssistant:');
    expect(end({ think: 'think' })).toBe('User: q\n\nAssistant: <think');
    expect(end({ think: 'fake' })).toBe('User: q\n\nAssistant: <think>\n</think');
    expect(end({ think: 'think', thinkLength: 'short' })).toBe(
      'User: q (think a bit)\n\nAssistant: <think',
    );
    expect(end({ think: 'think', thinkLength: 'normal' })).toBe(
      'User: q (think)\n\nAssistant: <think',
    );
    expect(end({ think: 'think', thinkLength: 'long' })).toBe(
      'User: q (think a lot)\n\nAssistant: <think',
    );
    expect(end({ think: 'think', opener: ' <think>好的' })).toBe(
      'User: q\n\nAssistant: <think>好的',
    );
    expect(promptOf([user('a'), assistant('b'), user('c')], { thinkLength: 'long' })).toBe(
      'User: a\n\nAssistant: b\n\nUser: c (think a lot)\n\nAssistant:',
    );
  });

  it('stops at a blank line only where answers have none', () => {
    const stops = (options: ChatTemplateOptions): readonly string[] =>
      renderChat([user('q')], options).stops;
    expect(stops({})).toEqual(['\n\nUser:']);
    expect(stops({ style: 'world' })).toEqual(['\n\n']);
    expect(stops({ style: 'world', think: 'think' })).toEqual(['\n\nUser:']);
    expect(stops({ style: 'world', think: 'fake' })).toEqual(['\n\nUser:']);
  });

  it.each<[string, readonly ChatMessage[], ChatTemplateOptions]>([
    ['PROMPT_INVALID', [], {}],
    ['PROMPT_INVALID', [user('a'), assistant('b')], {}],
    ['PROMPT_INVALID', [user('a'), { role: 'system', content: 'b' }, user('c')], {}],
    ['PROMPT_INVALID', [{ role: 'tool' as 'user', content: '' }], {}],
    ['PROMPT_INVALID', [{ role: 'toString' as 'user', content: '' }], {}],
    ['OPTION_INVALID', [user('a')], { style: 'x' as 'g1' }],
    ['OPTION_INVALID', [user('a')], { think: 'constructor' as 'none' }],
    ['OPTION_INVALID', [user('a')], { thinkLength: 'x' as 'long' }],
  ])('refuses (%s) %j %j', (code, messages, options) => {
    let error: unknown;
    try {
      renderChat(messages, options);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(GenerateError);
    expect((error as GenerateError).code).toBe(code);
  });
});
