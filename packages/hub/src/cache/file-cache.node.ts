import { join } from 'node:path';
import { defaultCacheFolder } from './cache-folder.node.js';
import type { CreateModelCache } from './cache-options.js';
import { createCacheOn } from './create-cache.js';
import { fileStorage } from './file-storage.node.js';

/** Models as files of this machine. */
export const createFileCache: CreateModelCache = ({
  folder = join(defaultCacheFolder(), 'models'),
} = {}) => {
  if (folder === '') throw new TypeError('folder is a path');
  return createCacheOn({ storage: fileStorage(folder), redirects: 'checked' });
};
