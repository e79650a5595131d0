/** A download into the cache: from a record of what is here to a verified file. The caller holds the file's lock. */
import { download } from '../download/download.js';
import { HubError } from '../errors.js';
import { hashInto } from './check-file.js';
import { type CacheContext, networkOf } from './context.js';
import type { Hasher } from './content-hash.js';
import type { DownloadPhase, FetchFileOptions, RemoteFile } from './model-cache.js';
import {
  type FileRecord,
  encodeRecord,
  idOf,
  newRecord,
  partSuffix,
  recordPath,
} from './record.js';
import type { CacheStorage } from './storage.js';

export interface FetchTask {
  readonly file: RemoteFile;
  readonly options: FetchFileOptions;
  /** What there was before: nothing, a part, a damaged file, or one that is not the newest. */
  readonly record: FileRecord | undefined;
}

/** Never taken for a size: 2^44 bytes, 16 TiB. */
const absurdBytes = 2 ** 44;

export async function fetchFile(context: CacheContext, task: FetchTask): Promise<FileRecord> {
  const { storage } = context;
  const { file, options } = task;
  if (options.offline === true) throw notHere(file);
  const part = await begin(storage, task);
  try {
    return await transfer(context, { file, options, part });
  } catch (error) {
    // What lay here from before may have been at fault, and only that is worth another try.
    const isWrong = error instanceof HubError && error.code === 'HASH_MISMATCH';
    if (isWrong && part.offset > 0) return fetchFile(context, { ...task, record: undefined });
    await leaveNothing(storage, { task, path: part.path }).catch(() => undefined);
    throw error;
  }
}

/** A download of which nothing came is as if it had not been tried: what was here before counts again. */
async function leaveNothing(
  storage: CacheStorage,
  { task, path }: { task: FetchTask; path: string },
): Promise<void> {
  const facts = await storage.facts(path);
  if (facts !== undefined && facts.size > 0) return;
  await storage.remove(path);
  const record = recordPath(idOf(task.file));
  if (task.record?.verified === undefined) await storage.remove(record);
  else await storage.write(record, encodeRecord(task.record));
}

interface Part {
  readonly record: FileRecord;
  readonly offset: number;
  readonly path: string;
}

/** The record to go on with; a part that cannot be gone on with is started anew. */
async function begin(storage: CacheStorage, { file, record }: FetchTask): Promise<Part> {
  const fresh = newRecord(file);
  const path = `${fresh.path}${partSuffix}`;
  const isPart =
    record !== undefined && record.verified === undefined && record.path === fresh.path;
  const isSame =
    isPart &&
    record.hash?.value === file.hash?.value &&
    (file.size === undefined || record.size === undefined || record.size === file.size);
  if (!isSame) return { record: fresh, offset: 0, path };
  const facts = await storage.facts(path);
  const limit = record.size ?? file.size ?? 0;
  // Beyond what was flushed the file may hold anything, after a crash; a hash would tell.
  const trusted = file.hash === undefined ? record.durable : limit;
  const offset = Math.min(facts?.size ?? 0, trusted, limit);
  return { record: { ...record, ...identityOf(fresh) }, offset, path };
}

function identityOf({ model, partOf, name, revision }: FileRecord): Partial<FileRecord> {
  return { model, partOf, name, revision };
}

interface Transfer {
  readonly file: RemoteFile;
  readonly options: FetchFileOptions;
  readonly part: Part;
}

async function transfer(
  context: CacheContext,
  { file, options, part }: Transfer,
): Promise<FileRecord> {
  const { storage } = context;
  const { signal, token, tokenOrigin } = options;
  const { path, offset } = part;
  let { record } = part;
  const algorithm = file.hash?.algorithm ?? 'sha256';
  const tell = (phase: DownloadPhase, done: number, total: number): void => {
    options.onProgress?.({ phase, file: record.name, done, total });
  };
  const save = async (changes: Partial<FileRecord>): Promise<void> => {
    record = { ...record, ...changes };
    await storage.write(recordPath(record.id), encodeRecord(record));
  };
  if (file.size !== undefined) await requireSpace(storage, { file, size: file.size, here: offset });
  // Git's hash begins with the size, which is known wherever that hash is.
  const newHasher = (): Hasher => storage.createHash({ algorithm, size: file.size ?? 0 });
  let hasher = newHasher();
  if (offset > 0) {
    await using source = await storage.open(path, record.name);
    const onProgress = (done: number): void => {
      tell('check', done, record.size ?? 0);
    };
    await hashInto(hasher, { source, length: offset }, { signal, onProgress });
  }
  // The record is there before the part: whatever lies here can be listed and removed.
  await save({ durable: offset });
  {
    await using appender = await storage.append(path, offset);
    await download({
      url: file.url,
      name: `${file.model}${file.partOf === undefined ? '' : `, ${record.name}`}`,
      network: networkOf(context, options),
      signal,
      token,
      tokenOrigin,
      appender,
      offset,
      declaredSize: file.size,
      known: {
        size: file.size ?? (offset > 0 ? record.size : undefined),
        etag: offset > 0 ? record.etag : undefined,
        lastModified: offset > 0 ? record.lastModified : undefined,
        hashed: file.hash !== undefined,
      },
      onFacts: async ({ size, etag, lastModified }) => {
        await requireSpace(storage, { file, size, here: offset });
        await save({ size, etag, lastModified });
        tell('download', offset, size);
      },
      onBytes: (bytes) => {
        hasher.update(bytes);
      },
      onRestart: () => {
        hasher = newHasher();
      },
      onProgress: (done, total) => {
        tell('download', done, total);
      },
      onCheckpoint: (durable) => save({ durable }),
    });
  }
  const size = record.size ?? file.size ?? 0;
  const value = hasher.digest();
  if (file.hash !== undefined && value !== file.hash.value) {
    await storage.remove(path);
    await storage.remove(recordPath(record.id));
    throw wrongHash(file, { name: record.name, value });
  }
  await storage.move(path, record.path);
  const facts = await storage.facts(record.path);
  if (facts?.size !== size) throw wrongSize(file, { size, got: facts?.size });
  await save({
    size,
    hash: { algorithm, value },
    durable: size,
    damaged: undefined,
    verified: { modified: facts.modified, at: Date.now() },
  });
  return record;
}

/** @throws HubError `STORAGE_FULL`, `SIZE_MISMATCH` */
async function requireSpace(
  storage: CacheStorage,
  { file, size, here }: { file: RemoteFile; size: number; here: number },
): Promise<void> {
  if (size > absurdBytes) {
    throw new HubError({
      code: 'SIZE_MISMATCH',
      message: `${file.model}: the server announces ${size} bytes, which no model has`,
      expected: absurdBytes,
      got: size,
    });
  }
  const { free } = await storage.space();
  const needed = size - here;
  if (free === undefined || needed <= free) return;
  throw new HubError({
    code: 'STORAGE_FULL',
    message: `${file.model}: ${needed} bytes are still to come, and ${storage.location} has room for ${free}; remove other models first`,
    expected: free,
    got: needed,
  });
}

function notHere(file: RemoteFile): HubError {
  return new HubError({
    code: 'OFFLINE',
    message: `${file.model}: it is not whole in the cache, and nothing may be downloaded`,
    got: file.url.href.replace(/\?.*/, ''),
  });
}

function wrongHash(file: RemoteFile, { name, value }: { name: string; value: string }): HubError {
  return new HubError({
    code: 'HASH_MISMATCH',
    message: `${file.model}: what came as ${name} has another ${file.hash?.algorithm ?? 'sha256'} hash than the file; nothing of it is kept`,
    expected: file.hash?.value,
    got: value,
  });
}

function wrongSize(
  file: RemoteFile,
  { size, got }: { size: number; got: number | undefined },
): HubError {
  return new HubError({
    code: 'STORAGE_FAILED',
    message: `${file.model}: the storage holds ${got ?? 0} of ${size} bytes after all were written`,
    expected: size,
    got,
  });
}
