/** The page: passes calls to its worker, and uses the same cache itself. */
import { createModelCache } from '../../src/index.js';
import type { Call, Reply } from './worker.js';

interface Message {
  readonly id?: number;
  readonly reply?: Reply;
  readonly failure?: string;
  readonly live?: { readonly phase: string; readonly done: number };
}

const worker = new Worker('/worker.js', { type: 'module' });
const waiting = new Map<number, (message: Message) => void>();
const live: Message['live'][] = [];
let calls = 0;
worker.addEventListener('message', ({ data }: MessageEvent<Message>) => {
  if (data.live !== undefined) live.push(data.live);
  if (data.id !== undefined) waiting.get(data.id)?.(data);
});

const page = {
  live,
  cache: createModelCache,
  call: async (call: Call): Promise<Reply> => {
    const id = ++calls;
    const message = await new Promise<Message>((resolve) => {
      waiting.set(id, resolve);
      worker.postMessage({ ...call, id });
    });
    if (message.reply === undefined) throw new Error(message.failure);
    return message.reply;
  },
  abort: (): void => {
    worker.postMessage({ method: 'abort' });
  },
};
export type TestPage = typeof page;
Object.assign(globalThis, { page });
