/** A hub, a cache in a temporary folder, and options that are impatient enough for tests. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type HubNotice,
  type ModelCache,
  type ResolveOptions,
  createModelCache,
  resolveModel,
} from '../src/index.node.js';
import { type TestHub, startTestHub } from './test-hub.js';

export interface CacheSetup extends AsyncDisposable {
  readonly hub: TestHub;
  readonly folder: string;
  readonly cache: ModelCache;
  readonly notices: HubNotice[];
  readonly options: ResolveOptions & { cache: ModelCache; hubUrl: string };
  /** Everything that a reference gives, through the cache. */
  read(reference: string, given?: Partial<ResolveOptions>): Promise<Uint8Array>;
  /** Sizes of the files in the cache that hold bytes of models, whole or not. */
  stored(): Promise<readonly string[]>;
}

export async function setUpCache(): Promise<CacheSetup> {
  const hub = await startTestHub();
  const folder = await mkdtemp(join(tmpdir(), 'hub-cache-'));
  const cache = createModelCache({ folder });
  const notices: HubNotice[] = [];
  const options = {
    cache,
    hubUrl: hub.url,
    network: { retries: 2, retryDelay: 2, stallTimeout: 2000 },
    onNotice: (notice: HubNotice) => {
      notices.push(notice);
    },
  };
  return {
    hub,
    folder,
    cache,
    notices,
    options,
    read: async (reference, given) => {
      await using source = await resolveModel(reference, { ...options, ...given });
      return await source.read(0, source.size);
    },
    stored: async () => {
      const entries = await readdir(join(folder, 'files'), {
        recursive: true,
        withFileTypes: true,
      }).catch(() => []);
      return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
    },
    [Symbol.asyncDispose]: async () => {
      await hub[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
