import { HubError } from '../errors.js';
import type { CreateModelCache } from './cache-options.js';
import { createCacheOn } from './create-cache.js';
import { type BrowserStorage, opfsStorage } from './opfs-storage.js';

/**
 * Models in this origin's private file system (OPFS), for pages and workers; downloads need a dedicated worker.
 * @throws HubError `STORAGE_UNAVAILABLE` where there is none: an old browser, or a page not served by https:
 */
export const createBrowserCache: CreateModelCache = ({ folder = 'rwkv-ts-models' } = {}) => {
  if (!/^[\w][\w .-]*$/.test(folder)) throw new TypeError('folder is the plain name of a folder');
  const { navigator = {} } = globalThis as { navigator?: Partial<BrowserStorage> };
  const { storage, locks } = navigator;
  if (storage?.getDirectory === undefined || locks === undefined) {
    throw new HubError({
      code: 'STORAGE_UNAVAILABLE',
      message:
        'This browser offers no storage for models here; pages need https: (or localhost) for it',
      expected: 'navigator.storage.getDirectory and navigator.locks',
    });
  }
  const browser = { storage, locks };
  return createCacheOn({ storage: opfsStorage({ folder, browser }), redirects: 'by fetch' });
};
