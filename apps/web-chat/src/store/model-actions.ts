/** Loading models, and those that are kept. */
import type { LoadRequest, ModelSource } from '../protocol/messages.js';
import type { ChatActions, Parts } from './chat-actions.js';
import { failureOf } from './chat-actions.js';
import type { Memory } from './memory.js';
import { omit } from './omit.js';
import type { Kept } from './types.js';

const lastKey = 'rwkv-ts.last-model';

export type ModelActions = ReturnType<typeof createModelActions>;

export function createModelActions(
  { store, client, library }: Parts,
  { chat, memory }: { chat: ChatActions; memory: Memory },
) {
  let loads = 0;

  function isWriting(): boolean {
    const { model, conversations } = store.getState();
    return model.kind === 'ready' && Object.values(conversations).some(({ live }) => live);
  }

  async function load(request: LoadRequest): Promise<boolean> {
    const mine = ++loads;
    // Another model ends what is being written; as far as it got it is kept.
    if (isWriting()) {
      await chat.settleAll();
      if (mine !== loads) return false;
    }
    // A model that is loaded again, after its device was lost, finds its conversations as they were last kept.
    const open = store.getState().panes;
    store.setState({
      model: { kind: 'loading', request, progress: { phase: 'start', done: 0, total: 0 } },
      conversations: {},
      panes: [],
      focused: undefined,
      kept: [],
      watched: undefined,
      picture: undefined,
    });
    try {
      const info = await client.ask('load', request);
      const kept = await keptOf(info.fingerprint);
      if (mine !== loads) return false;
      store.setState({
        model: { kind: 'ready', request, info },
        kept,
        announcement: `${info.name} is ready.`,
      });
      remember(request.source);
      const again = open.filter((id) => kept.some((one) => one.id === id));
      const wanted = again.length > 0 ? again : kept.slice(0, 1).map(({ id }) => id);
      for (const id of wanted) await chat.reopen(id);
      if (store.getState().panes.length === 0) await chat.start();
      return true;
    } catch (error) {
      if (mine !== loads) return false;
      const failure = failureOf(error);
      store.setState({
        model: { kind: 'failed', request, failure },
        announcement: `${failure.title}. ${failure.advice}`,
      });
      return false;
    } finally {
      void refreshStorage();
    }
  }

  /** A list that cannot be read keeps nobody from talking, and must not look like one that is empty. */
  async function keptOf(fingerprint: string): Promise<readonly Kept[]> {
    try {
      return await library.list(fingerprint);
    } catch (error) {
      const { title, advice } = failureOf(error);
      chat.notice(`Your earlier conversations cannot be shown. ${title}. ${advice}`);
      return [];
    }
  }

  function remember(source: ModelSource): void {
    try {
      // Without the token: it is the person's, and not needed for what is here already.
      const { kind } = source;
      if (kind === 'reference') {
        memory.setItem(lastKey, JSON.stringify(omit(source, 'token')));
      } else memory.removeItem(lastKey);
    } catch {
      // Storage may be full; then the next visit begins with the bundled model.
    }
  }

  function recall(): ModelSource {
    try {
      const saved = JSON.parse(memory.getItem(lastKey) ?? 'null') as Partial<ModelSource> | null;
      if (saved?.kind === 'reference' && typeof saved.reference === 'string') {
        return saved as ModelSource;
      }
    } catch {
      // Not ours, or an older page's.
    }
    return { kind: 'bundled' };
  }

  async function refreshStorage(): Promise<void> {
    try {
      store.setState({ storage: await client.ask('storage', null) });
    } catch (error) {
      store.setState({ storage: { models: [], why: failureOf(error).title } });
    }
  }

  return {
    load,
    refreshStorage,
    /** The model of the last visit, or the bundled one. */
    async begin(): Promise<void> {
      const source = recall();
      if (await load({ source })) return;
      if (source.kind === 'bundled' || store.getState().model.kind !== 'failed') return;
      chat.notice(`“${'reference' in source ? source.reference : ''}” could not be opened now.`);
    },
    async cancel(): Promise<void> {
      await client.ask('cancelLoad', null);
    },
    async again(): Promise<void> {
      const { model } = store.getState();
      await load(model.request ?? { source: { kind: 'bundled' } });
    },
    async removeStored(id: string): Promise<void> {
      try {
        await client.ask('removeStored', { id });
      } catch (error) {
        const { title, advice } = failureOf(error);
        chat.notice(`${title}. ${advice}`);
      }
      await refreshStorage();
    },
    async clearStored(): Promise<void> {
      try {
        await client.ask('clearStored', null);
      } catch (error) {
        const { title, advice } = failureOf(error);
        chat.notice(`${title}. ${advice}`);
      }
      await refreshStorage();
    },
  };
}
