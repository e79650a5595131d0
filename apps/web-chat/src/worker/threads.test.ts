/** Both kinds of conversation on the real bundled model, computed by the reference. */
import { readFile } from 'node:fs/promises';
import { demoModel } from '@rwkv-ts/demo-model';
import { type Model, loadModel } from '@rwkv-ts/generate';
import { createReferenceBackend } from '@rwkv-ts/reference';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TurnSettings } from '../protocol/messages.js';
import { samplingOf } from '../store/settings.js';
import { ChatThread } from './chat-thread.js';
import { decodeText, encodeText } from './text-file.js';
import { TextThread } from './text-thread.js';
import { type Chunk, type Thread, keptTurns } from './thread.js';

const settings: TurnSettings = {
  preset: 'bytes',
  ...samplingOf('bytes'),
  maxTokens: 10,
  seed: 3,
  think: 'none',
  thinkLength: undefined,
};

let model: Model;
/** Tokens that went through the model so far, read or written. */
let fed = 0;

beforeAll(async () => {
  const bytes = new Uint8Array(await readFile(demoModel.url));
  const backend = createReferenceBackend();
  const compile = backend.compile.bind(backend);
  backend.compile = async (...given) => {
    const executable = await compile(...given);
    const run = executable.run.bind(executable);
    executable.run = (batch) => {
      fed += batch.tokens.length;
      return run(batch);
    };
    return executable;
  };
  model = await loadModel(bytes, { backend, ownBackend: true });
});

afterAll(async () => {
  await model[Symbol.asyncDispose]();
});

const context = (change: Partial<TurnSettings> = {}, signal = new AbortController().signal) => ({
  settings: { ...settings, ...change },
  signal,
  onStart: () => undefined,
});

async function last(chunks: AsyncIterable<Chunk>): Promise<Chunk> {
  let chunk: Chunk | undefined;
  for await (chunk of chunks);
  return chunk!;
}

const textOf = (thread: Thread): string => thread.messages.map(({ text }) => text).join('');

describe.each([
  ['text', () => new TextThread(model), 'In the beginning'],
  ['chat', () => ChatThread.create(model, 'Be brief.'), 'Who was Noah?'],
] as const)('a conversation laid out as %s', (_, create, first) => {
  it('writes the same again with the same seed, and reads nothing for it', async () => {
    const thread = create();
    await last(thread.say(first, context()));
    const before = thread.messages;
    expect(before.map(({ role }) => role)).toEqual(['user', 'assistant']);
    const fedBefore = fed;
    await last(thread.regenerate(context()));
    expect(thread.messages).toEqual(before);
    // The state's pending token and those that are written; nothing of what was there.
    expect(fed - fedBefore).toBeLessThanOrEqual(settings.maxTokens);
    await last(thread.regenerate(context({ seed: 4 })));
    expect(thread.messages).not.toEqual(before);
  });

  it('is forked at any message without reading, and both go their own ways', async () => {
    const thread = create();
    await last(thread.say(first, context()));
    const earlier = thread.messages;
    await last(thread.say(' And then', context()));
    const whole = thread.messages;
    const fedBefore = fed;
    const copy = thread.fork();
    copy.rewind(2);
    expect(copy.messages).toEqual(earlier);
    expect(fed).toBe(fedBefore);
    await last(copy.say(' And then', context()));
    expect(copy.messages).toEqual(whole);
    const layout = thread.mode === 'chat' ? 'User: \n\nAssistant:'.length + 4 : 0;
    expect(fed - fedBefore).toBeLessThanOrEqual(' And then'.length + layout + settings.maxTokens);
    copy.rewind(0);
    expect(copy.messages).toEqual([]);
    expect(thread.messages).toEqual(whole);
  });

  it('goes on from its file as it would have itself', async () => {
    const thread = create();
    await last(thread.say(first, context()));
    const bytes = thread.save();
    const restored =
      thread.mode === 'text' ? TextThread.restore(model, bytes) : ChatThread.restore(model, bytes);
    expect(restored.messages).toEqual(thread.messages);
    expect(restored.system).toBe(thread.system);
    await last(thread.say(' And', context({ seed: 8 })));
    await last(restored.say(' And', context({ seed: 8 })));
    expect(textOf(restored)).toBe(textOf(thread));
  });

  it('keeps what was written when it is stopped, and goes on from there', async () => {
    const thread = create();
    const stop = new AbortController();
    for await (const { text } of thread.say(first, context({ maxTokens: 400 }, stop.signal))) {
      if (text !== '') stop.abort();
    }
    expect(thread.messages).toHaveLength(2);
    expect(thread.messages[1]!.text.length).toBeLessThan(100);
    const fedBefore = fed;
    await last(thread.say(' And', context()));
    expect(thread.messages).toHaveLength(4);
    // In a chat, white space at the end of what was stopped is trimmed, and the answer is then read again.
    if (thread.mode === 'text') {
      expect(fed - fedBefore).toBeLessThanOrEqual(' And'.length + 1 + settings.maxTokens);
    }
  });
});

describe('a running text', () => {
  it('goes on without anything being added', async () => {
    const thread = new TextThread(model);
    await last(thread.say('And God said', context({ temperature: 0 })));
    await last(thread.say('', context({ temperature: 0 })));
    const { text } = await model.generate('And God said', { temperature: 0, maxTokens: 20 });
    expect(textOf(thread)).toBe(`And God said${text}`);
  });

  it('is as it was when a turn fails', async () => {
    const thread = new TextThread(model);
    await expect(last(thread.say('', context()))).rejects.toMatchObject({ code: 'PROMPT_EMPTY' });
    await expect(last(thread.say('And', context({ topP: 7 })))).rejects.toThrow();
    expect(thread.messages).toEqual([]);
  });

  it.each([
    [null],
    [{ kind: 'conversation' }],
    [{ kind: 'running-text', known: 0 }],
    [{ kind: 'running-text', known: 2, pieces: [{ role: 'user', text: 'a' }] }],
    [{ kind: 'running-text', known: 0, pieces: [{ role: 'system', text: 'a' }] }],
    [{ kind: 'running-text', known: 0, pieces: [{ role: 'user', text: 5 }] }],
  ])('refuses the attachment %j', (attachment) => {
    expect(() => decodeText(attachment)).toThrow(
      expect.objectContaining({ code: 'STATE_FILE_INVALID' }),
    );
  });

  it('writes what it reads', () => {
    const saved = { known: 1, pieces: [{ role: 'user' as const, text: 'a' }] };
    expect(decodeText(JSON.parse(JSON.stringify(encodeText(saved))))).toEqual(saved);
  });
});

it('states are kept for as many turns as fit into half a gigabyte', () => {
  expect(keptTurns(132 * 1024)).toBe(1000);
  expect(keptTurns(14 * 2 ** 20)).toBe(18);
  expect(keptTurns(2 ** 30)).toBe(4);
});
