import { createStore } from 'zustand/vanilla';
import { omit } from './omit.js';
import type { AppState, Conversation } from './types.js';

export type AppStore = ReturnType<typeof createAppStore>;

export function createAppStore() {
  return createStore<AppState>(() => ({
    model: {
      kind: 'loading',
      request: { source: { kind: 'bundled' } },
      progress: { phase: 'start', done: 0, total: 0 },
    },
    conversations: {},
    panes: [],
    focused: undefined,
    kept: [],
    notices: [],
    storage: undefined,
    watched: undefined,
    picture: undefined,
    announcement: '',
  }));
}

/** Changes one conversation, if it is still there. */
export function patch(
  store: AppStore,
  id: string,
  change: (conversation: Conversation) => Conversation,
): void {
  store.setState(({ conversations }) => {
    const conversation = conversations[id];
    if (conversation === undefined) return {};
    return { conversations: { ...conversations, [id]: change(conversation) } };
  });
}

/** The conversation without what only the turn in progress has. */
export function settled(conversation: Conversation): Conversation {
  return omit(omit(conversation, 'live'), 'failure');
}
