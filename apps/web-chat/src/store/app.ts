/** The page's one store, its worker, and everything a person can do. */
import { WorkerClient } from '../protocol/client.js';
import type { Failure } from '../protocol/messages.js';
import { createChatActions } from './chat-actions.js';
import { openLibrary } from './library.js';
import { pageMemory } from './memory.js';
import { createModelActions } from './model-actions.js';
import { createAppStore, patch } from './store.js';

export function createApp() {
  const worker = new Worker(new URL('../worker/worker.ts', import.meta.url), {
    type: 'module',
    name: 'model',
  });
  const store = createAppStore();
  const client = new WorkerClient(worker);
  const library = openLibrary();
  const parts = {
    store,
    client,
    library,
    newId: () => crypto.randomUUID(),
    now: () => Date.now(),
  };
  const chat = createChatActions(parts);
  const models = createModelActions(parts, { chat, memory: pageMemory() });
  client.on('progress', (progress) => {
    const { model } = store.getState();
    if (model.kind === 'loading') store.setState({ model: { ...model, progress } });
  });
  client.on('notice', ({ message }) => {
    chat.notice(message);
  });
  client.on('delta', ({ id, text, reasoning, tokens, tokensPerSecond }) => {
    patch(store, id, (conversation) => {
      const { live } = conversation;
      if (live === undefined) return conversation;
      const next = { text: live.text + text, reasoning: live.reasoning + reasoning };
      return { ...conversation, live: { ...next, tokens, tokensPerSecond } };
    });
  });
  client.on('picture', ({ id, picture }) => {
    if (store.getState().watched === id) store.setState({ picture });
  });
  client.on('lost', ({ failure }) => {
    const { model } = store.getState();
    store.setState({
      model: { kind: 'failed', request: model.request, failure },
      announcement: `${failure.title}. ${failure.advice}`,
    });
  });
  worker.addEventListener('error', (event) => {
    const failure: Failure = {
      code: 'WORKER_FAILED',
      title: 'The part of the page that runs the model has stopped',
      advice: 'Load the page again. Often this means that memory ran out: take a smaller model.',
      detail: event.message,
    };
    client.fail(failure);
    store.setState(({ model }) => ({ model: { kind: 'failed', request: model.request, failure } }));
  });
  return { store, chat, models };
}

export type App = ReturnType<typeof createApp>;
