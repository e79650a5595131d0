/** From a remote file to a verified one here: by what lies here already, else by a download under a lock. */
import { HubError, abortedError, throwIfAborted } from '../errors.js';
import { readAnswer } from '../download/answer.js';
import { PassingFailure, get } from '../download/http.js';
import { checkFile } from './check-file.js';
import { type CacheContext, networkOf } from './context.js';
import { fetchFile } from './fetch-file.js';
import { isUntouched } from './listing.js';
import type { FetchFileOptions, RemoteFile } from './model-cache.js';
import { type FileRecord, idOf, newRecord, parseRecord, recordPath } from './record.js';
import type { CacheStorage } from './storage.js';

/** The record of the file, once it is here and verified. */
export async function bring(
  context: CacheContext,
  file: RemoteFile,
  options: FetchFileOptions,
): Promise<FileRecord> {
  const { storage } = context;
  const { signal } = options;
  const id = idOf(file);
  const read = async (): Promise<FileRecord | undefined> =>
    parseRecord(await storage.read(recordPath(id)));
  throwIfAborted(file.model, signal);
  const before = await read();
  if (before !== undefined && (await isUntouched(storage, before))) {
    const state = await freshness(context, { file, options, record: before });
    if (state === 'fresh') return before;
  }
  await using lock = await storage.lock(id, {
    wait: true,
    signal,
    onWait: () => {
      const name = file.place.at(-1) ?? file.model;
      options.onProgress?.({ phase: 'wait', file: name, done: 0, total: file.size ?? 0 });
    },
  });
  if (lock === undefined) throw abortedError(file.model, signal);
  // Whoever had the lock before may have done the work.
  const now = await settle(context, { file, options, record: await read() });
  if (now?.verified !== undefined && now.damaged !== true) {
    const isNew = now.verified.at !== before?.verified?.at;
    if (isNew || (await freshness(context, { file, options, record: now })) === 'fresh') return now;
  }
  return await fetchFile(context, { file, options, record: now });
}

interface Held {
  readonly file: RemoteFile;
  readonly options: FetchFileOptions;
  readonly record: FileRecord;
}

/** Where size or date are not what they were, only the hash can tell. */
async function settle(
  { storage }: CacheContext,
  { file, options, record }: Omit<Held, 'record'> & { record: FileRecord | undefined },
): Promise<FileRecord | undefined> {
  if (record === undefined) return adopt(storage, { file, options });
  if (record.verified === undefined || (await isUntouched(storage, record))) return record;
  const checked =
    record.damaged === true
      ? record
      : await checkFile(storage, record, {
          signal: options.signal,
          onProgress: (done) => {
            options.onProgress?.({
              phase: 'check',
              file: record.name,
              done,
              total: record.size ?? 0,
            });
          },
        });
  if (checked.damaged !== true) return checked;
  const facts = await storage.facts(record.path);
  if (facts !== undefined && options.offline !== true) {
    const message = `${file.model}: ${record.name} was damaged since it was downloaded, and is downloaded again`;
    options.onNotice?.({ code: 'REPAIRED', message });
  }
  return checked;
}

/** A whole file whose record was lost counts if its hash is right. */
async function adopt(
  storage: CacheStorage,
  { file, options }: Omit<Held, 'record'>,
): Promise<FileRecord | undefined> {
  const record = newRecord(file);
  if (record.hash === undefined || record.size === undefined) return undefined;
  const facts = await storage.facts(record.path);
  if (facts?.size !== record.size) return undefined;
  return checkFile(storage, record, { signal: options.signal });
}

/** Whether a verified file is still what its address stands for. */
async function freshness(
  context: CacheContext,
  { file, options, record }: Held,
): Promise<'fresh' | 'changed'> {
  const { hash } = file;
  if (hash !== undefined) {
    const isSame = record.hash?.algorithm === hash.algorithm && record.hash.value === hash.value;
    return isSame ? 'fresh' : 'changed';
  }
  if (file.revision !== undefined || options.offline === true) return 'fresh';
  try {
    return await askServer(context, { file, options, record });
  } catch (error) {
    const failure = error instanceof PassingFailure ? error.final : error;
    if (!(failure instanceof HubError) || !passing.has(failure.code)) throw failure;
    const message = `${file.model}: not asked whether it changed, and taken as it was: ${failure.message}`;
    options.onNotice?.({ code: 'NOT_REVALIDATED', message });
    return 'fresh';
  }
}

const passing: ReadonlySet<string> = new Set(['OFFLINE', 'SERVER_FAILED', 'RATE_LIMITED']);

async function askServer(
  context: CacheContext,
  { file, options, record }: Held,
): Promise<'fresh' | 'changed'> {
  const network = networkOf(context, options);
  const { token, tokenOrigin, signal } = options;
  const name = file.model;
  const request = { url: file.url, name, network, signal, token, tokenOrigin };
  const response = await get({ ...request, headers: { Range: 'bytes=0-0' } });
  await response.body?.cancel().catch(() => undefined);
  const { etag, lastModified, size } = record;
  const known = { name, size: undefined, etag, lastModified, hashed: false };
  const answer = readAnswer(response, known, 0);
  return answer.kind === 'part' && answer.size === size ? 'fresh' : 'changed';
}
