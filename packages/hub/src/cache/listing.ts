/** Records as people see them. */
import type { CachedFile, CachedModel } from './model-cache.js';
import { type FileRecord, partSuffix } from './record.js';
import type { CacheStorage } from './storage.js';

/** Whether the file is as it was when it was verified, by its size and date. */
export async function isUntouched(storage: CacheStorage, record: FileRecord): Promise<boolean> {
  if (record.verified === undefined || record.damaged === true) return false;
  const facts = await storage.facts(record.path);
  return facts?.size === record.size && facts?.modified === record.verified.modified;
}

export async function cachedFileOf(storage: CacheStorage, record: FileRecord): Promise<CachedFile> {
  const { id, name, size, hash, revision, verified } = record;
  const stored = verified === undefined ? `${record.path}${partSuffix}` : record.path;
  const facts = await storage.facts(stored);
  const state =
    verified === undefined
      ? 'partial'
      : record.damaged === true || facts?.size !== size
        ? 'damaged'
        : 'verified';
  return {
    id,
    name,
    received: facts?.size ?? 0,
    state,
    ...(size === undefined ? {} : { size }),
    ...(hash === undefined ? {} : { hash }),
    ...(revision === undefined ? {} : { revision }),
    ...(verified === undefined ? {} : { savedAt: new Date(verified.at) }),
    ...(storage.localPath === undefined ? {} : { path: storage.localPath(stored) }),
  };
}

/** Its own id, or the one of the file that names its model. */
export function idOfModel({ id, partOf }: FileRecord): string {
  return partOf ?? id;
}

const states: readonly CachedFile['state'][] = ['verified', 'partial', 'damaged'];

export async function cachedModelsOf(
  storage: CacheStorage,
  records: readonly FileRecord[],
): Promise<readonly CachedModel[]> {
  const groups = new Map<string, FileRecord[]>();
  for (const record of records) {
    const group = groups.get(idOfModel(record)) ?? [];
    // The file that names the model comes first.
    if (record.partOf === undefined) group.unshift(record);
    else group.push(record);
    groups.set(idOfModel(record), group);
  }
  const models = await Promise.all(
    [...groups].map(async ([id, group]) => {
      const files = await Promise.all(group.map((record) => cachedFileOf(storage, record)));
      const worst = Math.max(...files.map(({ state }) => states.indexOf(state)));
      const { model: name = id, revision } = group[0] ?? {};
      return {
        id,
        name,
        reference: revision === undefined ? name : `${name}@${revision}`,
        files,
        received: files.reduce((sum, { received }) => sum + received, 0),
        size: files.reduce((sum, { size, received }) => sum + (size ?? received), 0),
        state: states[worst] ?? 'partial',
      };
    }),
  );
  return models.sort((a, b) => latest(b) - latest(a) || (a.name < b.name ? -1 : 1));
}

/** What is still coming counts as the latest. */
function latest({ files }: CachedModel): number {
  return Math.max(...files.map(({ savedAt }) => savedAt?.getTime() ?? Number.MAX_SAFE_INTEGER));
}
