/** What an app's worker does with the cache, by messages from the test. */
import {
  type ModelCache,
  HubError,
  createModelCache,
  downloadModel,
  resolveModel,
} from '../../src/index.js';

export interface Call {
  readonly method: 'download' | 'read' | 'abort' | 'list' | 'usage' | 'verify' | 'remove' | 'clear';
  readonly reference?: string;
  readonly hubUrl?: string;
  readonly token?: string;
  readonly offline?: boolean;
}

export interface Reply {
  readonly value?: unknown;
  readonly error?: { readonly code: string; readonly message: string; readonly got: unknown };
  readonly progress: readonly { readonly phase: string; readonly done: number }[];
  readonly notices: readonly string[];
}

let cache: ModelCache | undefined;
let controller = new AbortController();

async function answer(call: Call): Promise<Reply> {
  const progress: { phase: string; done: number }[] = [];
  const notices: string[] = [];
  controller = new AbortController();
  const options = {
    cache: (cache ??= createModelCache()),
    signal: controller.signal,
    network: { retries: 1, retryDelay: 10 },
    ...(call.hubUrl === undefined ? {} : { hubUrl: call.hubUrl }),
    ...(call.token === undefined ? {} : { token: call.token }),
    ...(call.offline === undefined ? {} : { offline: call.offline }),
    onProgress: ({ phase, done }: { phase: string; done: number }) => {
      progress.push({ phase, done });
      postMessage({ live: { phase, done } });
    },
    onNotice: ({ code }: { code: string }) => notices.push(code),
  };
  try {
    return { value: await perform(call, options), progress, notices };
  } catch (error) {
    if (!(error instanceof HubError)) throw error;
    const { code, message, got } = error;
    return { error: { code, message, got }, progress, notices };
  }
}

async function perform(
  { method, reference = '' }: Call,
  options: Parameters<typeof downloadModel>[1],
): Promise<unknown> {
  switch (method) {
    case 'download':
      return downloadModel(reference, options);
    case 'read': {
      await using model = await resolveModel(reference, options);
      const bytes = await model.read(0, model.size);
      const digest = await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>);
      return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join(
        '',
      );
    }
    case 'verify':
    case 'remove':
      return options.cache[method](reference);
    case 'list':
    case 'usage':
    case 'clear':
      return options.cache[method]();
    case 'abort':
      return undefined;
  }
}

addEventListener('message', ({ data }: MessageEvent<Call & { id: number }>) => {
  if (data.method === 'abort') {
    controller.abort();
    return;
  }
  answer(data).then(
    (reply) => {
      postMessage({ id: data.id, reply });
    },
    (error: unknown) => {
      postMessage({ id: data.id, failure: String(error) });
    },
  );
});
