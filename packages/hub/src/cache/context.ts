import type { Network } from '../download/http.js';
import type { FetchFileOptions } from './model-cache.js';
import type { CacheStorage } from './storage.js';

export interface CacheContext {
  readonly storage: CacheStorage;
  /** `checked` where `fetch` tells where a redirect leads (Node), `by fetch` where it follows them unseen (browsers). */
  readonly redirects: Network['redirects'];
}

export function networkOf(
  { redirects }: Pick<CacheContext, 'redirects'>,
  { fetch = globalThis.fetch, network = {} }: Pick<FetchFileOptions, 'fetch' | 'network'>,
): Network {
  const { retries = 4, retryDelay = 500, longestWait = 60_000, stallTimeout = 60_000 } = network;
  return { fetch, retries, retryDelay, longestWait, stallTimeout, redirects };
}
