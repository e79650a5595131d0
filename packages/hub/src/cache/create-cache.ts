/** A model cache on any storage: the files, a record beside each, and what the hub once answered. */
import { HubError } from '../errors.js';
import { bring } from './bring.js';
import { checkFile } from './check-file.js';
import type { CacheContext } from './context.js';
import { cachedFileOf, cachedModelsOf, idOfModel } from './listing.js';
import type { CacheUsage, ModelCache, Verification, VerifyOptions } from './model-cache.js';
import { shortHash } from './content-hash.js';
import {
  type FileRecord,
  noteFolder,
  parseJson,
  parseRecord,
  partSuffix,
  recordFolder,
  recordPath,
} from './record.js';
import type { CacheStorage } from './storage.js';

export function createCacheOn(context: CacheContext): ModelCache {
  const { storage } = context;
  return {
    location: storage.location,
    open: async (file, options = {}) => {
      const { path, name } = await bring(context, file, options);
      return storage.open(path, storage.localPath?.(path) ?? name);
    },
    download: async (file, options = {}) =>
      cachedFileOf(storage, await bring(context, file, options)),
    list: async () => cachedModelsOf(storage, await readRecords(storage)),
    verify: (which, options = {}) => verify(storage, which, options),
    remove: async (which) => removeAll(storage, await recordsOf(storage, which)),
    clear: async () => {
      const freed = await removeAll(storage, await readRecords(storage));
      for (const name of await storage.list(noteFolder)) {
        await storage.remove(`${noteFolder}/${name}`);
      }
      return freed;
    },
    usage: () => usage(storage),
    persist: () => storage.persist(),
    recall: async (key) => parseJson(await storage.read(notePath(key))),
    remember: async (key, value) => {
      const bytes = new TextEncoder().encode(JSON.stringify(value));
      // Only a help: a storage that is full tells so, with numbers, when the file itself is to come.
      await storage.write(notePath(key), bytes).catch((error: unknown) => {
        if (!(error instanceof HubError)) throw error;
      });
    },
  };
}

function notePath(key: string): string {
  return `${noteFolder}/${shortHash(key)}.json`;
}

async function readRecords(storage: CacheStorage): Promise<readonly FileRecord[]> {
  const records: FileRecord[] = [];
  for (const name of await storage.list(recordFolder)) {
    const record = parseRecord(await storage.read(`${recordFolder}/${name}`));
    if (record !== undefined && recordPath(record.id).endsWith(`/${name}`)) records.push(record);
  }
  return records;
}

async function recordsOf(storage: CacheStorage, which: string): Promise<readonly FileRecord[]> {
  const isMeant = ({ id, name }: { id: string; name: string }): boolean =>
    id === which || name === which || name.startsWith(`${which}:`);
  const records = await readRecords(storage);
  const models = await cachedModelsOf(storage, records);
  const ids = new Set(models.filter(isMeant).map(({ id }) => id));
  return records.filter((record) => ids.has(idOfModel(record)));
}

async function verify(
  storage: CacheStorage,
  which: string,
  { signal, onProgress }: VerifyOptions,
): Promise<readonly Verification[]> {
  const records = (await recordsOf(storage, which)).filter(
    ({ verified }) => verified !== undefined,
  );
  const total = records.reduce((sum, { size = 0 }) => sum + size, 0);
  const results: Verification[] = [];
  let before = 0;
  for (const record of records) {
    const checked = await checkFile(storage, record, {
      signal,
      onProgress: (done) => {
        onProgress?.({ phase: 'check', file: record.name, done: before + done, total });
      },
    });
    before += record.size ?? 0;
    results.push({
      file: await cachedFileOf(storage, checked),
      intact: checked.damaged !== true,
    });
  }
  return results;
}

/** Bytes freed. */
async function removeAll(storage: CacheStorage, records: readonly FileRecord[]): Promise<number> {
  let freed = 0;
  for (const record of records) {
    await using lock = await storage.lock(record.id, { wait: false });
    if (lock === undefined) {
      throw new HubError({
        code: 'STORAGE_BUSY',
        message: `${record.model}: ${record.name} is being downloaded by another process or tab; stop it first`,
        got: record.name,
      });
    }
    // The record goes last: a file without one would not be listed any more.
    for (const path of [record.path, `${record.path}${partSuffix}`]) {
      freed += (await storage.facts(path))?.size ?? 0;
      await storage.remove(path);
    }
    await storage.remove(recordPath(record.id));
  }
  return freed;
}

async function usage(storage: CacheStorage): Promise<CacheUsage> {
  const models = await cachedModelsOf(storage, await readRecords(storage));
  const used = models.reduce((sum, { received }) => sum + received, 0);
  return { used, ...(await storage.space()) };
}
