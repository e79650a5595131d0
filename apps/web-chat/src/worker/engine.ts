/** The worker's whole business: one model, the conversations on it, and the models that are kept. */
import { BackendError, RwkvError } from '@rwkv-ts/backend';
import { GenerateError, type ReadState } from '@rwkv-ts/generate';
import type {
  LoadRequest,
  Mode,
  ModelInfo,
  Requests,
  StorageReport,
  TurnResult,
  TurnSettings,
} from '../protocol/messages.js';
import { explain } from '../protocol/explain.js';
import type { Handlers, Tell } from '../protocol/server.js';
import { ChatThread } from './chat-thread.js';
import { type LoadedModel, load } from './load.js';
import { Meter } from './meter.js';
import { type CacheAnswer, openCache } from './open-source.js';
import { StateWatch } from './state-watch.js';
import { isText } from './text-file.js';
import { TextThread } from './text-thread.js';
import type { Chunk, Thread, TurnContext } from './thread.js';

/** Milliseconds of text that are told at once: more often than people see, no. */
const tellInterval = 40;

interface Held {
  readonly thread: Thread;
  tokens: number;
  stop: AbortController | undefined;
}

export class Engine {
  readonly #tell: Tell;
  readonly #cacheAnswer: CacheAnswer;
  readonly #watch: StateWatch;
  readonly #held = new Map<string, Held>();
  #loaded: LoadedModel | undefined;
  #loading: AbortController | undefined;
  /** Loads run one after the other: a second begins when the first has let go of everything. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(tell: Tell) {
    this.#tell = tell;
    this.#cacheAnswer = openCache();
    this.#watch = new StateWatch(tell);
  }

  get handlers(): Handlers {
    return {
      load: (request) => this.#load(request),
      cancelLoad: () => {
        this.#loading?.abort();
        return null;
      },
      open: ({ id, mode, system }) => {
        this.#hold(id, this.#create(mode, system));
        return null;
      },
      say: ({ id, text, settings }) =>
        this.#take(id, settings, (thread, context) => thread.say(text, context)),
      regenerate: ({ id, settings }) =>
        this.#take(id, settings, (thread, context) => thread.regenerate(context)),
      stop: ({ id }) => {
        this.#held.get(id)?.stop?.abort();
        return null;
      },
      rewind: ({ id, keep }) => {
        this.#idle(id).thread.rewind(keep);
        return null;
      },
      fork: ({ id, into, keep }) => {
        const { thread, tokens } = this.#idle(id);
        const copy = thread.fork();
        copy.rewind(keep);
        this.#held.set(into, { thread: copy, tokens, stop: undefined });
        return null;
      },
      close: ({ id }) => {
        this.#held.get(id)?.stop?.abort();
        this.#held.delete(id);
        return null;
      },
      save: ({ id }) => this.#idle(id).thread.save(),
      restore: ({ id, bytes }) => this.#restore(id, bytes),
      watch: ({ id }) => {
        this.#watch.follow(id);
        if (id !== null) this.#showKept(id);
        return null;
      },
      storage: () => this.#storage(),
      removeStored: ({ id }) => this.#cache().remove(id),
      clearStored: () => this.#cache().clear(),
    };
  }

  async #load(request: LoadRequest): Promise<ModelInfo> {
    this.#loading?.abort();
    const loading = new AbortController();
    this.#loading = loading;
    const before = this.#turn;
    const work = before.then(async () => {
      // The old model goes first: two at a time may not fit.
      await this.#unload();
      const context = { cacheAnswer: this.#cacheAnswer, signal: loading.signal, tell: this.#tell };
      return load(request, context);
    });
    this.#turn = work.catch(() => undefined);
    const loaded = await work;
    this.#loaded = loaded;
    this.#watch.heads = loaded.heads;
    void loaded.lost?.then((reason) => {
      // A device that goes with its model is no loss.
      if (this.#loaded !== loaded) return;
      const message = `The GPU device was lost: ${reason}`;
      this.#tell('lost', { failure: explain(new BackendError({ code: 'DEVICE_LOST', message })) });
    });
    return loaded.info;
  }

  async #unload(): Promise<void> {
    for (const { stop } of this.#held.values()) stop?.abort();
    this.#held.clear();
    const loaded = this.#loaded;
    this.#loaded = undefined;
    try {
      await loaded?.model[Symbol.asyncDispose]();
    } catch {
      // A lost device frees nothing in order; it has nothing left to free.
    }
  }

  #model(): LoadedModel['model'] {
    if (this.#loaded !== undefined) return this.#loaded.model;
    throw new GenerateError({ code: 'MODEL_DISPOSED', message: 'No model is loaded' });
  }

  #create(mode: Mode, system: string): Thread {
    const model = this.#model();
    return mode === 'chat' ? ChatThread.create(model, system) : new TextThread(model);
  }

  #hold(id: string, thread: Thread): void {
    this.#held.set(id, { thread, tokens: 0, stop: undefined });
  }

  #find(id: string): Held {
    const held = this.#held.get(id);
    if (held !== undefined) return held;
    throw new GenerateError({
      code: 'MODEL_DISPOSED',
      message: 'The conversation is not open on this model',
    });
  }

  #idle(id: string): Held {
    const held = this.#find(id);
    if (held.stop === undefined) return held;
    throw new GenerateError({ code: 'CONVERSATION_BUSY', message: 'The conversation is writing' });
  }

  async #take(
    id: string,
    settings: TurnSettings,
    start: (thread: Thread, context: TurnContext) => AsyncIterable<Chunk>,
  ): Promise<TurnResult> {
    const held = this.#idle(id);
    const stop = new AbortController();
    held.stop = stop;
    const meter = new Meter();
    const onStart = (read: ReadState): void => {
      this.#watch.begin(id, read);
    };
    try {
      const chunks = start(held.thread, { settings, signal: stop.signal, onStart });
      const last = await this.#pass(id, chunks, meter);
      const usage = last?.result?.usage;
      if (usage !== undefined) held.tokens = usage.promptTokens + usage.completionTokens;
      return {
        messages: held.thread.messages,
        finishReason: last?.finishReason ?? 'abort',
        tokens: held.tokens,
        writtenTokens: meter.tokens,
        tokensPerSecond: meter.tokensPerSecond,
        keptBytes: held.thread.keptBytes,
      };
    } finally {
      held.stop = undefined;
      this.#watch.end(id);
      this.#showKept(id);
    }
  }

  /** The state that a conversation rests in, for whoever watches it. */
  #showKept(id: string): void {
    const held = this.#held.get(id);
    if (this.#watch.followed !== id || held === undefined || held.stop !== undefined) return;
    const model = this.#model();
    this.#watch.show(id, model.stateBlocks(model.loadState(held.thread.save()).state));
  }

  /** Tells what is written, some milliseconds' worth at a time; gives the last chunk. */
  async #pass(id: string, chunks: AsyncIterable<Chunk>, meter: Meter): Promise<Chunk | undefined> {
    let text = '';
    let reasoning = '';
    let toldAt = 0;
    const tell = (now: number): void => {
      toldAt = now;
      const { tokens, tokensPerSecond } = meter;
      this.#tell('delta', { id, text, reasoning, tokens, tokensPerSecond });
      text = '';
      reasoning = '';
    };
    let last: Chunk | undefined;
    try {
      for await (const chunk of chunks) {
        const now = performance.now();
        if (chunk.token !== undefined) meter.count(now);
        text += chunk.text;
        reasoning += chunk.reasoning ?? '';
        last = chunk;
        if (now - toldAt >= tellInterval) tell(now);
        this.#watch.tick(id);
      }
    } catch (error) {
      // Stopped while the prompt was read: nothing was written, and nothing is wrong.
      if (!(RwkvError.isInstance(error) && error.code === 'ABORTED')) throw error;
      last = undefined;
    }
    if (text !== '' || reasoning !== '') tell(performance.now());
    return last;
  }

  #restore(id: string, bytes: Uint8Array): Requests['restore']['result'] {
    const model = this.#model();
    const { attachment } = model.loadState(bytes);
    const thread = isText(attachment)
      ? TextThread.restore(model, bytes)
      : ChatThread.restore(model, bytes);
    this.#hold(id, thread);
    const { mode, system, messages } = thread;
    return { mode, system, messages };
  }

  #cache(): Extract<CacheAnswer, { cache: unknown }>['cache'] {
    if ('cache' in this.#cacheAnswer) return this.#cacheAnswer.cache;
    throw new GenerateError({ code: 'OPTION_INVALID', message: this.#cacheAnswer.why });
  }

  async #storage(): Promise<StorageReport> {
    if ('why' in this.#cacheAnswer) return { models: [], why: this.#cacheAnswer.why };
    const { cache } = this.#cacheAnswer;
    const [models, usage] = await Promise.all([cache.list(), cache.usage()]);
    const { used, free, quota } = usage;
    return {
      usage: { used, ...(free !== undefined && { free }), ...(quota !== undefined && { quota }) },
      models: models.map(({ id, name, reference, state, received, size }) => ({
        id,
        name,
        reference,
        state,
        received,
        size,
      })),
    };
  }
}
