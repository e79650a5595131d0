/** What a person can do with conversations. Each step tells the worker and keeps the store as people expect it. */
import { ChatFailure, type WorkerClient } from '../protocol/client.js';
import { explain } from '../protocol/explain.js';
import type { Failure, Message, Mode, TurnResult, TurnSettings } from '../protocol/messages.js';
import type { Library } from './library.js';
import { omit } from './omit.js';
import { defaultSettings } from './settings.js';
import { type AppStore, patch, settled } from './store.js';
import type { Conversation, Kept } from './types.js';

export interface Parts {
  readonly store: AppStore;
  readonly client: Pick<WorkerClient, 'ask'>;
  readonly library: Library;
  readonly newId: () => string;
  readonly now: () => number;
}

/** `before` and `draft` are what a turn that came to nothing leaves. */
interface Turn {
  readonly before: readonly Message[];
  readonly draft: string;
  readonly ask: () => Promise<TurnResult>;
}

export type ChatActions = ReturnType<typeof createChatActions>;

export function failureOf(error: unknown): Failure {
  return error instanceof ChatFailure ? error.failure : explain(error);
}

/** A name for the list: the first words that were said. */
export function titleOf(messages: readonly Message[]): string {
  const words = messages[0]?.text.trim().split(/\s+/).slice(0, 7).join(' ') ?? '';
  if (words === '') return 'New conversation';
  return words.length > 44 ? `${words.slice(0, 43)}…` : words;
}

export function createChatActions(parts: Parts) {
  const { store, client, library, newId } = parts;
  const find = (id: string): Conversation | undefined => store.getState().conversations[id];
  /** Turns on their way, by conversation. */
  const running = new Map<string, Promise<void>>();
  let lastNotice = 0;

  function notice(message: string): void {
    if (store.getState().notices.some((one) => one.message === message)) return;
    const id = ++lastNotice;
    store.setState(({ notices }) => ({ notices: [...notices, { id, message }].slice(-3) }));
  }

  function fail(id: string, error: unknown): void {
    const failure = failureOf(error);
    patch(store, id, (conversation) => ({ ...settled(conversation), failure }));
    store.setState({ announcement: `${failure.title}. ${failure.advice}` });
  }

  /** For what belongs to no conversation that could show it. */
  async function orNotice(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const { title, advice } = failureOf(error);
      notice(`${title}. ${advice}`);
    }
  }

  function show(conversation: Conversation, beside?: string): void {
    store.setState(({ conversations, panes }) => {
      const at = beside === undefined ? panes.length : panes.indexOf(beside) + 1;
      const others = panes.filter((pane) => pane !== conversation.id);
      return {
        conversations: { ...conversations, [conversation.id]: conversation },
        panes: [...others.slice(0, at), conversation.id, ...others.slice(at)],
        focused: conversation.id,
      };
    });
  }

  /** Of conversations nobody has begun, none is left beside one that is opened. */
  function dropUntouched(): void {
    const { conversations, panes } = store.getState();
    const isUntouched = (id: string): boolean => {
      const conversation = conversations[id];
      return conversation?.messages.length === 0 && !conversation.live && conversation.draft === '';
    };
    const untouched = panes.filter(isUntouched);
    store.setState({
      panes: panes.filter((id) => !untouched.includes(id)),
      conversations: Object.fromEntries(
        Object.entries(conversations).filter(([id]) => !untouched.includes(id)),
      ),
    });
    for (const id of untouched) {
      void orNotice(async () => {
        await client.ask('close', { id });
      });
    }
  }

  async function keep(id: string): Promise<void> {
    const { model } = store.getState();
    const conversation = find(id);
    if (conversation === undefined || model.kind !== 'ready' || conversation.messages.length === 0)
      return;
    try {
      const bytes = await client.ask('save', { id });
      const kept: Kept = {
        id,
        title: conversation.title,
        fingerprint: model.info.fingerprint,
        mode: conversation.mode,
        settings: conversation.settings,
        savedAt: parts.now(),
        size: bytes.length,
      };
      await library.put(kept, bytes);
      store.setState(({ kept: all }) => ({ kept: [kept, ...all.filter((one) => one.id !== id)] }));
    } catch (error) {
      const { code, title, advice } = failureOf(error);
      // Writing again: that turn keeps it. Closed, or on a model that was replaced: nobody waits for it.
      if (code === 'CONVERSATION_BUSY' || find(id) === undefined) return;
      notice(`“${conversation.title}” is not kept for next time. ${title}. ${advice}`);
    }
  }

  function finish(id: string, result: TurnResult): void {
    const { messages, finishReason, ...stats } = result;
    patch(store, id, (conversation) => ({
      ...settled(conversation),
      messages,
      finishReason,
      stats,
      title: conversation.messages.length <= 1 ? titleOf(messages) : conversation.title,
    }));
    const answer = messages.at(-1)?.text ?? '';
    const ended = finishReason === 'abort' ? 'Stopped.' : 'Answer complete.';
    store.setState({ announcement: `${ended} ${answer.slice(0, 400)}` });
  }

  async function run(id: string, turn: Turn): Promise<void> {
    const work = take(id, turn);
    running.set(id, work);
    await work;
    running.delete(id);
  }

  async function take(id: string, { before, draft, ask }: Turn): Promise<void> {
    const live = { text: '', reasoning: '', tokens: 0, tokensPerSecond: 0 };
    patch(store, id, (conversation) => ({ ...settled(conversation), live, draft: '' }));
    store.setState({ announcement: 'Writing.' });
    try {
      const result = await ask();
      finish(id, result);
      if (result.messages.length <= before.length && draft !== '') {
        patch(store, id, (conversation) => ({ ...conversation, draft }));
      }
      await keep(id);
    } catch (error) {
      patch(store, id, (conversation) => ({ ...conversation, messages: before, draft }));
      fail(id, error);
    }
  }

  const stop = (id: string): Promise<void> =>
    orNotice(async () => {
      await client.ask('stop', { id });
    });

  /** Stops a turn on its way, and waits until what it came to is kept. */
  async function settle(id: string): Promise<void> {
    if (!running.has(id)) return;
    await stop(id);
    await running.get(id);
  }

  async function send(id: string, text: string): Promise<void> {
    const conversation = find(id);
    if (conversation === undefined || conversation.live !== undefined) return;
    const { messages, settings, mode } = conversation;
    const said = mode === 'chat' ? text.trim() : text;
    if (said === '' && (mode === 'chat' || messages.length === 0)) return;
    const next: readonly Message[] =
      said === '' ? messages : [...messages, { role: 'user', text: said }];
    const title = messages.length === 0 ? titleOf(next) : conversation.title;
    patch(store, id, (one) => ({ ...one, messages: next, title }));
    await run(id, {
      before: messages,
      draft: text,
      ask: () => client.ask('say', { id, text: said, settings }),
    });
  }

  return {
    notice,
    dismiss(noticeId: number): void {
      store.setState(({ notices }) => ({ notices: notices.filter(({ id }) => id !== noticeId) }));
    },
    focus(id: string): void {
      store.setState({ focused: id });
    },
    draft(id: string, draft: string): void {
      patch(store, id, (conversation) => ({ ...conversation, draft }));
    },
    configure(id: string, settings: TurnSettings): void {
      patch(store, id, (conversation) => ({ ...conversation, settings }));
    },
    async start(mode?: Mode, system = ''): Promise<void> {
      const { model } = store.getState();
      if (model.kind !== 'ready') return;
      const id = newId();
      const chosen = mode ?? model.info.suggestedMode;
      await orNotice(async () => {
        await client.ask('open', { id, mode: chosen, system });
        const settings = defaultSettings(model.info, chosen);
        show({ id, title: titleOf([]), mode: chosen, system, settings, messages: [], draft: '' });
      });
    },
    /** Mode and system prompt are part of what the model reads first, so the conversation begins anew with them. */
    async restart(id: string, mode: Mode, system: string): Promise<void> {
      const { model } = store.getState();
      const conversation = find(id);
      if (model.kind !== 'ready' || conversation === undefined) return;
      await orNotice(async () => {
        await client.ask('close', { id });
        await client.ask('open', { id, mode, system });
        const settings =
          mode === conversation.mode ? conversation.settings : defaultSettings(model.info, mode);
        const { draft } = conversation;
        show({ id, title: titleOf([]), mode, system, settings, messages: [], draft });
      });
    },
    send,
    stop,
    async settleAll(): Promise<void> {
      await Promise.all([...running.keys()].map(settle));
    },
    async regenerate(id: string): Promise<void> {
      const conversation = find(id);
      if (conversation === undefined || conversation.live !== undefined) return;
      const { messages, settings } = conversation;
      const shown = messages.at(-1)?.role === 'assistant' ? messages.slice(0, -1) : messages;
      patch(store, id, (one) => ({ ...one, messages: shown }));
      await run(id, {
        before: messages,
        draft: conversation.draft,
        ask: () => client.ask('regenerate', { id, settings }),
      });
    },
    /** Says something else at `index`; what followed is dropped. */
    async edit(id: string, index: number, text: string): Promise<void> {
      const conversation = find(id);
      if (conversation === undefined || conversation.live !== undefined) return;
      try {
        await client.ask('rewind', { id, keep: index });
      } catch (error) {
        fail(id, error);
        return;
      }
      patch(store, id, (one) => ({ ...one, messages: one.messages.slice(0, index) }));
      await send(id, text);
    },
    /** A second conversation from here on: after an answer, or in place of what was said at `index`. */
    async fork(id: string, index: number): Promise<void> {
      const conversation = find(id);
      const message = conversation?.messages[index];
      if (conversation === undefined || message === undefined) return;
      const isAnswer = message.role === 'assistant';
      const count = isAnswer ? index + 1 : index;
      const into = newId();
      try {
        await client.ask('fork', { id, into, keep: count });
      } catch (error) {
        fail(id, error);
        return;
      }
      const rest = omit(settled(conversation), 'stats');
      const messages = conversation.messages.slice(0, count);
      const draft = isAnswer ? '' : message.text;
      show(
        {
          ...rest,
          id: into,
          messages,
          draft,
          title: `Fork: ${conversation.title.replace(/^Fork: /, '')}`,
        },
        id,
      );
      await keep(into);
    },
    /** Closes the pane. What was said stays in the list, and what is being written as far as it got. */
    async close(id: string): Promise<void> {
      await settle(id);
      store.setState(({ conversations, panes, focused, watched, picture }) => {
        const left = panes.filter((pane) => pane !== id);
        return {
          conversations: omit(conversations, id),
          panes: left,
          focused: focused === id ? left.at(-1) : focused,
          watched: watched === id ? undefined : watched,
          picture: watched === id ? undefined : picture,
        };
      });
      await orNotice(async () => {
        await client.ask('close', { id });
      });
    },
    async reopen(id: string): Promise<void> {
      if (find(id) !== undefined) {
        store.setState({ focused: id });
        return;
      }
      const kept = store.getState().kept.find((one) => one.id === id);
      if (kept === undefined) return;
      try {
        const bytes = await library.bytes(id);
        const { mode, system, messages } = await client.ask('restore', { id, bytes });
        const { title, settings } = kept;
        dropUntouched();
        show({ id, title, mode, system, settings, messages, draft: '' });
      } catch (error) {
        const { title, advice } = failureOf(error);
        notice(`“${kept.title}” could not be opened: ${title}. ${advice}`);
      }
    },
    forget: (id: string): Promise<void> =>
      orNotice(async () => {
        await library.remove(id);
        store.setState(({ kept }) => ({ kept: kept.filter((one) => one.id !== id) }));
      }),
    forgetAll: (): Promise<void> =>
      orNotice(async () => {
        await library.clear();
        store.setState({ kept: [] });
      }),
    /** The conversation as a file, with its state. */
    saveFile(id: string): Promise<Uint8Array<ArrayBuffer>> {
      return client.ask('save', { id });
    },
    async openFile(file: File): Promise<void> {
      const { model } = store.getState();
      if (model.kind !== 'ready') return;
      const id = newId();
      const bytes = new Uint8Array(await file.arrayBuffer());
      const { mode, system, messages } = await client.ask('restore', { id, bytes });
      const settings = defaultSettings(model.info, mode);
      dropUntouched();
      show({ id, title: titleOf(messages), mode, system, settings, messages, draft: '' });
      await keep(id);
    },
    async watch(id: string | undefined): Promise<void> {
      store.setState({ watched: id, picture: undefined });
      await orNotice(async () => {
        await client.ask('watch', { id: id ?? null });
      });
    },
  };
}
