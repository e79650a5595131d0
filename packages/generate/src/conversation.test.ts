import { describe, expect, it } from 'vitest';
import { type FakeModel, historyOf } from '../test/fake-model.js';
import { scriptedModel } from '../test/scripted-model.js';
import { testTokenizer } from '../test/test-tokenizer.js';
import type { ChatChunk } from './chat.js';
import type { ChatMessage } from './chat-template.js';
import type { ConversationOptions } from './conversation.js';
import { GenerateError } from './errors.js';
import { Model } from './model.js';

const tokenizer = testTokenizer();
const greedy = { temperature: 0, presencePenalty: 0, frequencyPenalty: 0 } as const;

/** The answer to the last question; every answer goes on to talk for the user. */
function reply(prompt: string): string {
  const question = /User: ([^\n]*)\n\nAssistant:$/.exec(prompt)?.[1] ?? '';
  return ` answer to ${question}\n\nUser: me again`;
}

async function open(
  script: (prompt: string) => string = reply,
): Promise<{ model: Model; fake: FakeModel }> {
  const fake = scriptedModel(tokenizer, script);
  return { model: await Model.create({ languageModel: fake, tokenizer }), fake };
}

async function collect(stream: AsyncIterable<ChatChunk>): Promise<ChatChunk[]> {
  const chunks: ChatChunk[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

function fedTokens(fake: FakeModel): number {
  return fake.steps.flat(2).length;
}

async function codeOf(work: () => unknown): Promise<string> {
  try {
    await work();
    return 'none';
  } catch (error) {
    return error instanceof GenerateError ? error.code : String(error);
  }
}

describe('chat', () => {
  it('answers, and does not talk for the user', async () => {
    await using model = (await open()).model;
    const result = await model.chat([{ role: 'user', content: 'hi' }], greedy);
    expect(result).toMatchObject({
      text: 'answer to hi',
      finishReason: 'stop',
      stop: '\n\nUser:',
      message: { role: 'assistant', content: 'answer to hi' },
    });
    expect(result.reasoning).toBeUndefined();
    const chunks = await collect(model.chatStream([{ role: 'user', content: 'hi' }], greedy));
    expect(chunks.map(({ text }) => text).join('')).toBe(result.text);
    expect(chunks.at(-1)?.result).toEqual(result);
  });

  it('keeps blank lines in answers, unless the style is that of older models', async () => {
    await using model = (await open(() => ' one\n\ntwo\n\nUser: x')).model;
    const messages: ChatMessage[] = [{ role: 'user', content: 'hi' }];
    expect((await model.chat(messages, greedy)).text).toBe('one\n\ntwo');
    expect(await model.chat(messages, { ...greedy, style: 'world' })).toMatchObject({
      text: 'one',
      stop: '\n\n',
    });
    expect((await model.chat(messages, { ...greedy, stop: 'tw' })).text).toBe('one');
  });

  it('separates reasoning', async () => {
    await using model = (
      await open((prompt) =>
        prompt.includes('(think a bit)')
          ? ' <think>\nfirst\n\nthen</think>\n\nso'
          : ' <think>\n</think>\nquick',
      )
    ).model;
    const messages: ChatMessage[] = [{ role: 'user', content: 'hi' }];
    const thought = await model.chat(messages, { ...greedy, think: 'think', thinkLength: 'short' });
    expect(thought).toMatchObject({
      text: 'so',
      reasoning: 'first\n\nthen',
      message: { role: 'assistant', content: 'so', reasoning: 'first\n\nthen' },
    });
    expect(await model.chat(messages, { ...greedy, think: 'fake' })).toMatchObject({
      text: 'quick',
      finishReason: 'stop',
    });
    const own = await model.chat([{ role: 'user', content: 'hi (think a bit)' }], greedy);
    expect(own).toMatchObject({ text: 'so', reasoning: 'first\n\nthen' });
  });
});

describe('Conversation', () => {
  const options: ConversationOptions = { ...greedy, system: 'Be brief.' };

  it('says what a chat with the whole history says, with the same tokens in the state', async () => {
    await using model = (await open()).model;
    const conversation = model.conversation(options);
    for (const question of ['one', 'two\n\nlines', 'three']) {
      const { messages } = conversation;
      const result = await conversation.send(question);
      const whole = await model.chat([...messages, { role: 'user', content: question }], {
        ...greedy,
        keepState: true,
      });
      expect(result.text).toBe(whole.text);
      expect(tokenizer.decode(historyOf(result.state!.snapshot))).toBe(
        tokenizer.decode(historyOf(whole.state!.snapshot)),
      );
      expect(result.state!.pending).toEqual(whole.state!.pending);
    }
    expect(conversation.messages.map(({ role }) => role)).toEqual([
      'system',
      'user',
      'assistant',
      'user',
      'assistant',
      'user',
      'assistant',
    ]);
  });

  it('feeds each turn only what is new', async () => {
    const { model: opened, fake } = await open();
    await using model = opened;
    const conversation = model.conversation(options);
    await conversation.send('one');
    const before = fedTokens(fake);
    const { state, usage } = await conversation.send('two');
    const fed = fedTokens(fake) - before;
    // The state stands for everything, this turn fed the rest: from the answer's stop string on.
    const history = tokenizer.decode(historyOf(state!.snapshot));
    expect(history).toBe(
      'System: Be brief.\n\nUser: one\n\nAssistant: answer to one\n\nUser: two\n\nAssistant: answer to two\n\nUser',
    );
    expect(fed).toBeLessThan(tokenizer.count(' two\n\nAssistant: answer to two\n\nUser:') + 3);
    expect(usage.cachedTokens).toBe(usage.promptTokens - 1);
  });

  it('feeds answers without their reasoning', async () => {
    await using model = (
      await open((prompt) => ` <think>about ${prompt.length}</think>\nyes\n\nUser:`)
    ).model;
    const conversation = model.conversation({ ...greedy, think: 'think' });
    const first = await conversation.send('one');
    const begun = 'User: one\n\nAssistant:';
    const reasoning = `about ${begun.length}`;
    expect(first).toMatchObject({ text: 'yes', reasoning });
    const { state } = await conversation.send('two');
    expect(tokenizer.decode(historyOf(state!.snapshot))).toBe(
      `${begun} yes\n\nUser: two\n\nAssistant: <think>about ${`${begun} yes\n\nUser: two\n\nAssistant:`.length}</think>\nyes\n\nUser`,
    );
    expect(conversation.messages[1]).toEqual({
      role: 'assistant',
      content: 'yes',
      reasoning,
    });
  });

  it('undoes, forks, regenerates and resets without feeding anything twice', async () => {
    let version = 1;
    const { model: opened, fake } = await open(
      (prompt) => `${reply(prompt).split('\n')[0]!} v${version}\n\nUser:`,
    );
    await using model = opened;
    const conversation = model.conversation(options);
    await conversation.send('one');
    await conversation.send('two');
    const fork = conversation.fork();
    const before = fedTokens(fake);
    version = 2;
    expect((await conversation.regenerate()).text).toBe('answer to two v2');
    // Only the answer was fed: its prompt's state was there.
    expect(fedTokens(fake) - before).toBeLessThanOrEqual(
      tokenizer.count(' answer to two v2\n\nUser:') + 1,
    );
    expect(fork.messages.at(-1)?.content).toBe('answer to two v1');
    expect(conversation.undo().map(({ content }) => content)).toEqual(['two', 'answer to two v2']);
    const { state } = await conversation.send('three');
    expect(tokenizer.decode(historyOf(state!.snapshot))).toBe(
      'System: Be brief.\n\nUser: one\n\nAssistant: answer to one v1\n\nUser: three\n\nAssistant: answer to three v2\n\nUser',
    );
    await fork.send('four');
    expect(fork.messages.map(({ content }) => content)).toEqual([
      'Be brief.',
      'one',
      'answer to one v1',
      'two',
      'answer to two v1',
      'four',
      'answer to four v2',
    ]);
    conversation.reset();
    expect(conversation.messages).toEqual([{ role: 'system', content: 'Be brief.' }]);
    expect(conversation.undo()).toEqual([]);
    expect((await conversation.send('five')).text).toBe('answer to five v2');
    expect(await codeOf(() => model.conversation(options).regenerate())).toBe('OPTION_INVALID');
  });

  it('undoes past its checkpoints', async () => {
    await using model = (await open()).model;
    const conversation = model.conversation({ ...options, checkpoints: 1 });
    for (const question of ['one', 'two', 'three']) await conversation.send(question);
    conversation.undo();
    conversation.undo();
    const { state } = await conversation.send('four');
    expect(tokenizer.decode(historyOf(state!.snapshot))).toBe(
      'System: Be brief.\n\nUser: one\n\nAssistant: answer to one\n\nUser: four\n\nAssistant: answer to four\n\nUser',
    );
  });

  it('keeps what was said when a turn is stopped, and goes on from it', async () => {
    await using model = (await open()).model;
    const conversation = model.conversation(options);
    for await (const { text } of conversation.stream('one')) if (text.includes('t')) break;
    expect(conversation.messages.at(-1)?.content).toMatch(/^answer/);
    const partial = conversation.messages.at(-1)!.content;
    const { state } = await conversation.send('two');
    expect(tokenizer.decode(historyOf(state!.snapshot))).toBe(
      `System: Be brief.\n\nUser: one\n\nAssistant: ${partial}\n\nUser: two\n\nAssistant: answer to two\n\nUser`,
    );
    const signal = AbortSignal.abort();
    expect((await conversation.send('three', { signal })).finishReason).toBe('abort');
    expect(conversation.messages.at(-1)?.content).toBe('answer to two');
    expect(model.load.active).toBe(0);
  });

  it('goes on from an answer that the signal stopped without reading it again', async () => {
    const { model: opened, fake } = await open();
    await using model = opened;
    const conversation = model.conversation(options);
    const stop = new AbortController();
    fake.beforeStep = () => {
      if (fake.steps.length === 5) stop.abort();
    };
    const { finishReason } = await conversation.send('one', { signal: stop.signal });
    expect(finishReason).toBe('abort');
    fake.beforeStep = undefined;
    const partial = conversation.messages.at(-1)!.content;
    expect('answer to one'.startsWith(partial)).toBe(true);
    expect(partial).not.toBe('answer to one');
    const before = fedTokens(fake);
    const { state } = await conversation.send('two');
    expect(tokenizer.decode(historyOf(state!.snapshot))).toBe(
      `System: Be brief.\n\nUser: one\n\nAssistant: ${partial}\n\nUser: two\n\nAssistant: answer to two\n\nUser`,
    );
    // The token that was made last, what is new, and the answer.
    const fed = tokenizer.encode('\n\nUser: two\n\nAssistant: answer to two\n\nUser').length;
    expect(fedTokens(fake) - before).toBeLessThanOrEqual(fed + 1);
  });

  it('forgets a turn that failed', async () => {
    const { model: opened, fake } = await open();
    await using model = opened;
    const conversation = model.conversation(options);
    await conversation.send('one');
    const { messages } = conversation;
    fake.beforeStep = () => {
      throw new Error('lost');
    };
    expect(await codeOf(() => conversation.send('two'))).toBe('FORWARD_FAILED');
    expect(await codeOf(() => conversation.regenerate())).toBe('FORWARD_FAILED');
    expect(conversation.messages).toEqual(messages);
    // Also when something had been said already.
    const chunks: ChatChunk[] = [];
    fake.beforeStep = () => {
      if (chunks.some(({ text }) => text !== '')) throw new Error('lost');
      return new Promise((resolve) => setTimeout(resolve, 1));
    };
    const failing = (async () => {
      for await (const chunk of conversation.stream('two')) chunks.push(chunk);
    })();
    expect(await codeOf(() => failing)).toBe('FORWARD_FAILED');
    expect(chunks.length).toBeGreaterThan(1);
    expect(conversation.messages).toEqual(messages);
    fake.beforeStep = undefined;
    expect((await conversation.send('two')).text).toBe('answer to two');
  });

  it('answers one message at a time', async () => {
    await using model = (await open()).model;
    const conversation = model.conversation(options);
    const running = conversation.send('one');
    for (const call of [
      () => conversation.send('two'),
      () => conversation.regenerate(),
      () => conversation.undo(),
      () => conversation.fork(),
      () => {
        conversation.reset();
      },
      () => conversation.save(),
    ]) {
      expect(await codeOf(call)).toBe('CONVERSATION_BUSY');
    }
    await running;
    expect(conversation.messages.length).toBe(3);
  });

  it('is saved and loaded with its state', async () => {
    const { model: opened, fake } = await open();
    await using model = opened;
    const conversation = model.conversation({ ...options, thinkLength: 'long' });
    expect(model.loadConversation(conversation.save(), greedy).messages).toEqual(
      conversation.messages,
    );
    await conversation.send('one');
    const bytes = conversation.save();
    const loaded = model.loadConversation(bytes, greedy);
    expect(loaded.messages).toEqual(conversation.messages);
    const before = fedTokens(fake);
    const { state } = await loaded.send('two');
    expect(tokenizer.decode(historyOf(state!.snapshot))).toBe(
      'System: Be brief.\n\nUser: one (think a lot)\n\nAssistant: answer to one (think a lot)\n\nUser: two\n\nAssistant: answer to two\n\nUser',
    );
    expect(fedTokens(fake) - before).toBeLessThan(
      tokenizer.count(' two\n\nAssistant: answer to two\n\nUser:') + 3,
    );
    expect(await codeOf(() => model.loadConversation(bytes, options))).toBe('OPTION_INVALID');
    const plain = model.saveState(await model.prefill('x'));
    expect(await codeOf(() => model.loadConversation(plain))).toBe('STATE_FILE_INVALID');
    for (const attachment of [
      null,
      { kind: 'conversation' },
      { kind: 'conversation', entries: [null] },
      { kind: 'conversation', entries: [{ message: { role: 'root', content: '' }, fed: '' }] },
      { kind: 'conversation', entries: [{ message: { role: 'user', content: 1 }, fed: '' }] },
      { kind: 'conversation', entries: [], checkpoint: 3 },
      { kind: 'conversation', entries: [], checkpoint: { count: 1.5, text: '' } },
      { kind: 'conversation', entries: [], checkpoint: { count: 1, text: '', raw: 1 } },
    ]) {
      const file = model.saveState(await model.prefill('x'), attachment);
      expect(await codeOf(() => model.loadConversation(file))).toBe('STATE_FILE_INVALID');
    }
  });

  it('checks its history', async () => {
    await using model = (await open()).model;
    const system: ChatMessage = { role: 'system', content: 'x' };
    expect(await codeOf(() => model.conversation({ system: 'x', messages: [system] }))).toBe(
      'PROMPT_INVALID',
    );
    expect(await codeOf(() => model.conversation({ checkpoints: 0 }))).toBe('OPTION_INVALID');
    await expect(model.conversation().send(1 as unknown as string)).rejects.toThrow(TypeError);
    const begun = model.conversation({
      ...greedy,
      messages: [
        { role: 'user', content: 'a' },
        { role: 'assistant', content: 'b' },
      ],
    });
    expect((await begun.send('c')).usage.promptTokens).toBe(
      tokenizer.count('User: a\n\nAssistant: b\n\nUser: c\n\nAssistant:'),
    );
  });
});
