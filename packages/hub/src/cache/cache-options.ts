import type { ModelCache } from './model-cache.js';

export interface CacheOptions {
  /**
   * Where models lie. In Node a path, default `models` in `$RWKV_TS_CACHE` or in `rwkv-ts` among this user's caches; in
   * browsers the name of a folder of this origin's private file system, default `rwkv-ts-models`.
   */
  readonly folder?: string;
}

/** Touches nothing yet. */
export type CreateModelCache = (options?: CacheOptions) => ModelCache;
