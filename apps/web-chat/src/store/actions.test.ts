import { beforeEach, describe, expect, it } from 'vitest';
import { ChatFailure } from '../protocol/client.js';
import type { Failure, Method, ModelInfo, Requests, TurnResult } from '../protocol/messages.js';
import { type ChatActions, createChatActions, titleOf } from './chat-actions.js';
import { type Library, LibraryError, type LibraryErrorCode } from './library.js';
import type { Memory } from './memory.js';
import { type ModelActions, createModelActions } from './model-actions.js';
import { type AppStore, createAppStore } from './store.js';
import type { Conversation, Kept } from './types.js';

const info: ModelInfo = {
  name: 'tiny',
  version: '7',
  layers: 4,
  channels: 128,
  vocabularySize: 256,
  tokenizer: 'bytes',
  fingerprint: 'f',
  stateBytes: 1000,
  deviceBytes: 2000,
  backend: 'fake',
  slots: 4,
  suggestedMode: 'chat',
  presets: { chat: 'rwkv-chat', text: 'pipeline' },
  notes: [],
};
const failure: Failure = { code: 'X', title: 'It broke', advice: 'Mend it.', detail: 'd' };

class FakeWorker {
  readonly asked: [Method, unknown][] = [];
  readonly answers = new Map<Method, (params: never) => unknown>();

  ask = async <Name extends Method>(
    method: Name,
    params: Requests[Name]['params'],
  ): Promise<Requests[Name]['result']> => {
    this.asked.push([method, params]);
    return (await this.answers.get(method)?.(params as never)) as Requests[Name]['result'];
  };

  methods(): Method[] {
    return this.asked.map(([method]) => method);
  }
}

function fakeLibrary(): Library & { files: Map<string, { kept: Kept; bytes: Uint8Array }> } {
  const files = new Map<string, { kept: Kept; bytes: Uint8Array }>();
  return {
    files,
    list: async (fingerprint) =>
      [...files.values()].map(({ kept }) => kept).filter((one) => one.fingerprint === fingerprint),
    put: async (kept, bytes) => void files.set(kept.id, { kept, bytes }),
    bytes: async (id) => {
      const file = files.get(id);
      if (file !== undefined) return file.bytes;
      throw new LibraryError({ code: 'LIBRARY_MISSING', message: 'no file' });
    },
    remove: async (id) => void files.delete(id),
    clear: async () => {
      files.clear();
    },
  };
}

const result = (texts: readonly string[], change: Partial<TurnResult> = {}): TurnResult => ({
  messages: texts.map((text, i) => ({ role: i % 2 === 0 ? 'user' : 'assistant', text })),
  finishReason: 'stop',
  tokens: 9,
  writtenTokens: 6,
  tokensPerSecond: 20,
  keptBytes: 2000,
  ...change,
});

let store: AppStore;
let worker: FakeWorker;
let library: ReturnType<typeof fakeLibrary>;
let saved: Map<string, string>;
let chat: ChatActions;
let models: ModelActions;

beforeEach(async () => {
  let ids = 0;
  store = createAppStore();
  worker = new FakeWorker();
  library = fakeLibrary();
  saved = new Map();
  const memory: Memory = {
    getItem: (key) => saved.get(key) ?? null,
    setItem: (key, value) => void saved.set(key, value),
    removeItem: (key) => void saved.delete(key),
  };
  const parts = { store, client: worker, library, newId: () => `c${++ids}`, now: () => ids };
  chat = createChatActions(parts);
  models = createModelActions(parts, { chat, memory });
  worker.answers.set('load', () => info);
  worker.answers.set('save', () => Uint8Array.of(1, 2, 3));
  worker.answers.set('storage', () => ({ models: [] }));
  await models.load({ source: { kind: 'bundled' } });
});

const conversation = (id = 'c1'): Conversation => store.getState().conversations[id]!;
const texts = (id = 'c1'): string[] => conversation(id).messages.map(({ text }) => text);

describe('a turn', () => {
  it('shows what was said at once, then the answer, and is kept', async () => {
    let seen: string[] = [];
    worker.answers.set('say', () => {
      seen = texts();
      expect(conversation().live).toBeDefined();
      return result(['Hello', 'Hi.']);
    });
    await chat.send('c1', '  Hello ');
    expect(seen).toEqual(['Hello']);
    expect(texts()).toEqual(['Hello', 'Hi.']);
    expect(conversation()).toMatchObject({ title: 'Hello', draft: '', stats: { tokens: 9 } });
    expect(conversation().live).toBeUndefined();
    expect(store.getState().announcement).toBe('Answer complete. Hi.');
    expect(library.files.get('c1')?.kept).toMatchObject({
      title: 'Hello',
      fingerprint: 'f',
      size: 3,
    });
  });

  it('that fails gives the words back and says what to do', async () => {
    worker.answers.set('say', () => {
      throw new ChatFailure(failure);
    });
    await chat.send('c1', 'Hello');
    expect(texts()).toEqual([]);
    expect(conversation()).toMatchObject({ draft: 'Hello', failure });
    expect(store.getState().announcement).toBe('It broke. Mend it.');
  });

  it('that was stopped before the first word gives the words back', async () => {
    worker.answers.set('say', () => result([], { finishReason: 'abort' }));
    await chat.send('c1', 'Hello');
    expect(conversation()).toMatchObject({ draft: 'Hello', messages: [] });
  });

  it('is not begun with nothing to say, nor while one runs', async () => {
    await chat.send('c1', '  ');
    expect(worker.methods()).not.toContain('say');
    let release = (): void => undefined;
    worker.answers.set(
      'say',
      () =>
        new Promise((resolve) => {
          release = () => {
            resolve(result(['a', 'b']));
          };
        }),
    );
    const first = chat.send('c1', 'a');
    await chat.send('c1', 'again');
    await chat.regenerate('c1');
    release();
    await first;
    expect(worker.methods().filter((method) => method !== 'save')).toEqual([
      'load',
      'open',
      'storage',
      'say',
    ]);
  });
});

describe('going back', () => {
  beforeEach(async () => {
    worker.answers.set('say', () => result(['a', 'b', 'c', 'd']));
    await chat.send('c1', 'a');
  });

  it('edit: rewinds to the message and says something else', async () => {
    worker.answers.set('say', () => result(['a', 'b', 'x', 'y']));
    await chat.edit('c1', 2, 'x');
    expect(worker.asked.slice(-3)).toEqual([
      ['rewind', { id: 'c1', keep: 2 }],
      ['say', { id: 'c1', text: 'x', settings: conversation().settings }],
      ['save', { id: 'c1' }],
    ]);
    expect(texts()).toEqual(['a', 'b', 'x', 'y']);
  });

  it('fork after an answer: a second conversation beside the first', async () => {
    await chat.start();
    await chat.fork('c1', 1);
    expect(store.getState().panes).toEqual(['c1', 'c3', 'c2']);
    expect(store.getState().focused).toBe('c3');
    expect(texts('c3')).toEqual(['a', 'b']);
    expect(texts('c1')).toHaveLength(4);
    expect(worker.asked).toContainEqual(['fork', { id: 'c1', into: 'c3', keep: 2 }]);
  });

  it('a fork keeps its name when it goes on', async () => {
    await chat.fork('c1', 1);
    worker.answers.set('say', () => result(['a', 'b', 'x', 'y']));
    await chat.send('c2', 'x');
    expect([conversation('c1').title, conversation('c2').title]).toEqual(['a', 'Fork: a']);
  });

  it('fork at what was said: with the words ready to be changed', async () => {
    await chat.fork('c1', 2);
    expect(texts('c2')).toEqual(['a', 'b']);
    expect(conversation('c2').draft).toBe('c');
  });

  it('regenerate: the old answer comes back when the new one fails', async () => {
    worker.answers.set('regenerate', () => {
      expect(texts()).toEqual(['a', 'b', 'c']);
      throw new ChatFailure(failure);
    });
    await chat.regenerate('c1');
    expect(texts()).toEqual(['a', 'b', 'c', 'd']);
    expect(conversation().failure).toEqual(failure);
  });

  it('closed conversations stay in the list and open again with their state', async () => {
    await chat.close('c1');
    expect(store.getState()).toMatchObject({ panes: [], focused: undefined, conversations: {} });
    worker.answers.set('restore', () => ({ mode: 'chat', system: 's', messages: [] }));
    await chat.reopen('c1');
    expect(worker.asked.at(-1)).toEqual(['restore', { id: 'c1', bytes: Uint8Array.of(1, 2, 3) }]);
    expect(conversation()).toMatchObject({ title: 'a', system: 's' });
  });
});

describe('keeping', () => {
  const failing = (code: LibraryErrorCode) => (): Promise<never> =>
    Promise.reject(new LibraryError({ code, message: 'm' }));
  const notices = (): string[] => store.getState().notices.map(({ message }) => message);

  beforeEach(() => {
    worker.answers.set('say', () => result(['a', 'b']));
  });

  it('a list that cannot be read is told, and does not look empty; one can talk all the same', async () => {
    library.list = failing('LIBRARY_FAILED');
    await models.again();
    expect(store.getState().model.kind).toBe('ready');
    expect(notices()).toEqual([
      'Your earlier conversations cannot be shown. This browser’s storage does not work here. ' +
        'Save conversations as files. Private windows often forbid storage.',
    ]);
    const [id] = store.getState().panes;
    await chat.send(id!, 'a');
    expect(texts(id)).toEqual(['a', 'b']);
  });

  it('a conversation for which there is no room is told, with what to do', async () => {
    library.put = failing('LIBRARY_FULL');
    await chat.send('c1', 'a');
    expect(texts()).toEqual(['a', 'b']);
    expect(store.getState().kept).toEqual([]);
    expect(notices()).toEqual([
      '“a” is not kept for next time. There is no room left for conversations in this browser. ' +
        'Save this one as a file, and remove others, or models under “Storage”.',
    ]);
  });

  it('what the worker cannot save is told, typed or not', async () => {
    worker.answers.set('save', () => {
      throw new ChatFailure({ ...failure, code: 'FORWARD_FAILED' });
    });
    await chat.send('c1', 'a');
    expect(notices()).toEqual(['“a” is not kept for next time. It broke. Mend it.']);
  });

  it('that comes too late because it writes again is no news', async () => {
    worker.answers.set('save', () => {
      throw new ChatFailure({ ...failure, code: 'CONVERSATION_BUSY' });
    });
    await chat.send('c1', 'a');
    expect(notices()).toEqual([]);
  });

  it.each([
    ['is closed', () => chat.close('c1'), ['say', 'stop', 'save', 'close']],
    ['loses its model to another', () => models.again(), ['say', 'stop', 'save', 'load']],
  ])('a conversation that %s while it writes is kept as far as it got', async (_, end, asked) => {
    let stopped = (): void => undefined;
    worker.answers.set('stop', () => {
      stopped();
    });
    worker.answers.set(
      'say',
      () =>
        new Promise((resolve) => {
          stopped = () => {
            resolve(result(['a', 'half'], { finishReason: 'abort' }));
          };
        }),
    );
    worker.answers.set('restore', () => ({ mode: 'text', system: '', messages: [] }));
    const turn = chat.send('c1', 'a');
    await end();
    await turn;
    expect([...library.files.keys()]).toEqual(['c1']);
    const from = worker.methods().indexOf('say');
    expect(worker.methods().slice(from, from + 4)).toEqual(asked);
  });

  it('a conversation whose file is gone, or that cannot be removed, is told', async () => {
    await chat.send('c1', 'a');
    await chat.close('c1');
    library.files.clear();
    await chat.reopen('c1');
    expect(notices()).toEqual([
      '“a” could not be opened: Its file is gone. It can be removed from the list.',
    ]);
    library.remove = failing('LIBRARY_FAILED');
    await chat.forget('c1');
    expect(store.getState().kept).toHaveLength(1);
    expect(notices()).toHaveLength(2);
    library.clear = failing('LIBRARY_FAILED');
    chat.dismiss(2);
    await chat.forgetAll();
    expect(store.getState().kept).toHaveLength(1);
    expect(notices()).toHaveLength(2);
  });
});

describe('models', () => {
  it('a model loaded anew brings back the conversations that were open', async () => {
    worker.answers.set('say', () => result(['a', 'b']));
    await chat.send('c1', 'a');
    await chat.start();
    await chat.send('c2', 'a');
    const messages = result(['a', 'b']).messages;
    worker.answers.set('restore', () => ({ mode: 'chat', system: '', messages }));
    await models.again();
    expect(store.getState().panes).toEqual(['c1', 'c2']);
  });

  it('that fail say so and leave nothing half open', async () => {
    worker.answers.set('load', () => {
      throw new ChatFailure(failure);
    });
    const source = { kind: 'reference', reference: 'owner/repo' } as const;
    expect(await models.load({ source })).toBe(false);
    expect(store.getState()).toMatchObject({ model: { kind: 'failed', failure }, panes: [] });
  });

  it('from references are remembered without the token, and opened at the next visit', async () => {
    const source = { kind: 'reference', reference: 'owner/repo', token: 'hf_secret' } as const;
    await models.load({ source });
    expect([...saved.values()].join('')).not.toContain('hf_secret');
    await models.begin();
    expect(worker.asked.findLast(([method]) => method === 'load')?.[1]).toEqual({
      source: { kind: 'reference', reference: 'owner/repo' },
    });
  });

  it('a later load wins over an earlier one that ends after it', async () => {
    const releases: (() => void)[] = [];
    worker.answers.set('load', ({ source }: { source: { reference: string } }) => {
      return new Promise((resolve) => {
        releases.push(() => {
          resolve({ ...info, name: source.reference });
        });
      });
    });
    const first = models.load({ source: { kind: 'reference', reference: 'a/first' } });
    const second = models.load({ source: { kind: 'reference', reference: 'a/second' } });
    releases[1]!();
    await second;
    releases[0]!();
    await first;
    expect(store.getState().model).toMatchObject({ kind: 'ready', info: { name: 'a/second' } });
  });
});

it('titles are the first words', () => {
  expect(titleOf([])).toBe('New conversation');
  expect(titleOf([{ role: 'user', text: ' one two three four five six seven eight' }])).toBe(
    'one two three four five six seven',
  );
});

it('opening a conversation leaves none beside it that nobody began', async () => {
  worker.answers.set('restore', () => ({ mode: 'text', system: '', messages: [] }));
  chat.draft('c1', 'half a thought');
  await chat.start();
  expect(store.getState().panes).toEqual(['c1', 'c2']);
  await chat.openFile(new File(['x'], 'a.rwkv-chat'));
  expect(store.getState().panes).toEqual(['c1', 'c3']);
  expect(worker.asked).toContainEqual(['close', { id: 'c2' }]);
});
