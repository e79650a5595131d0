/** Files in repositories of the hub, through its official client. */
import type * as hub from '@huggingface/hub';
import { contentHash } from './cache/content-hash.js';
import { networkOf } from './cache/context.js';
import type { RemoteFile } from './cache/model-cache.js';
import { isSize } from './cache/record.js';
import { HubError, statusError } from './errors.js';
import { guardedFetch } from './guarded-fetch.js';
import { type FileFacts, type HubMemory, hubMemory } from './hub-memory.js';
import type { RepositoryReference } from './parse-reference.js';
import { pickModelFile, type RepositoryFile } from './pick-model-file.js';
import { type ResolveOptions, defaultHubUrl } from './resolve-options.js';

/** Far above any real model repository; a list without an end stops here. */
const mostFiles = 20_000;
/** Paths asked for at a time. */
const pathsAtOnce = 100;

/** A revision of a repository, fixed to the commit it was when it was asked for. */
export interface OpenRepository {
  /** The only model file. */
  pickFile(): Promise<string>;
  /** The address of a file, after making sure that it is there and may be read. */
  locate(path: string): Promise<URL>;
  /** The same for files to be downloaded: with sizes and hashes, undefined where there is no such file. */
  describe(paths: readonly string[]): Promise<readonly (RemoteFile | undefined)[]>;
}

type Client = typeof hub;

interface Opened {
  readonly repository: string;
  /** As it was asked for. */
  readonly revision: string;
  readonly commit: string;
  readonly hubUrl: string;
  readonly options: ResolveOptions;
  readonly memory: HubMemory;
  /** Calls the client, and tells failures in our words. */
  readonly ask: ReturnType<typeof asker>;
}

interface Access {
  readonly fetch: typeof globalThis.fetch;
  readonly hubUrl: string;
  readonly accessToken?: string;
}

/** @throws HubError `NOT_FOUND`, `ACCESS_DENIED`, `GATED`, `OFFLINE`, `RATE_LIMITED`, `SERVER_FAILED`, `ABORTED` */
export async function openRepository(
  { repository, revision = 'main' }: RepositoryReference,
  options: ResolveOptions,
): Promise<OpenRepository> {
  const { hubUrl = defaultHubUrl } = options;
  const memory = hubMemory(options, `${hubUrl} ${repository}`);
  const ask = asker(options);
  // A branch may move while the file is read, range by range: a commit does not.
  const commit = await memory.commit(revision, (timeout) =>
    ask(
      `${repository}@${revision}`,
      async (client, access) => {
        const name = { name: repository, revision };
        const { sha } = await client.modelInfo({ ...name, additionalFields: ['sha'], ...access });
        if (typeof sha === 'string' && /^[0-9a-f]{40,64}$/.test(sha)) return sha;
        throw new HubError({
          code: 'SERVER_FAILED',
          message: `${repository}@${revision}: the hub gave no commit`,
          expected: 'a commit hash',
          got: sha,
        });
      },
      timeout,
    ),
  );
  const opened: Opened = { repository, revision, commit, hubUrl, options, memory, ask };
  return {
    pickFile: () => memory.picked(commit, () => pickFile(opened)),
    locate: (path) => locate(opened, path),
    describe: (paths) => describe(opened, paths),
  };
}

function asker(options: ResolveOptions) {
  const { signal, token, timeout = 30_000, hubUrl = defaultHubUrl } = options;
  return async <Result>(
    what: string,
    work: (client: Client, access: Access) => Promise<Result>,
    limit: number = timeout,
  ): Promise<Result> => {
    let errorCode: string | null = null;
    const fetch = guardedFetch({
      network: networkOf({ redirects: 'by fetch' }, options),
      signal,
      timeout: Math.min(timeout, limit),
      origin: new URL(hubUrl).origin,
      onErrorCode: (code) => {
        errorCode = code;
      },
    });
    try {
      // Only who asks for a repository loads the client.
      const client = await import('@huggingface/hub');
      return await work(client, {
        fetch,
        hubUrl,
        ...(token === undefined ? {} : { accessToken: token }),
      });
    } catch (cause) {
      throw explain(what, { cause, options, errorCode });
    }
  };
}

function pickFile({ repository, revision, commit, ask }: Opened): Promise<string> {
  return ask(`${repository}@${revision}`, async (client, access) => {
    const files: RepositoryFile[] = [];
    const list: AsyncIterable<hub.ListFileEntry> = client.listFiles({
      repo: repository,
      revision: commit,
      recursive: true,
      ...access,
    });
    for await (const { path, size, type } of list) {
      if (type === 'file') files.push({ path, size });
      if (files.length > mostFiles) break;
    }
    return pickModelFile(repository, files);
  });
}

function locate({ repository, revision, commit, ask }: Opened, path: string): Promise<URL> {
  return ask(`${repository}:${path}@${revision}`, async (client, access) => {
    const info = await client.fileDownloadInfo({
      repo: repository,
      path: encodePath(path),
      revision: commit,
      ...access,
    });
    if (info === null) throw noFile({ repository, revision }, path);
    return new URL(info.url);
  });
}

function noFile(
  { repository, revision }: { repository: string; revision: string },
  path: string,
): HubError {
  return new HubError({
    code: 'NOT_FOUND',
    message: `${repository} at ${revision} has no file ${path}`,
    got: path,
  });
}

async function describe(
  opened: Opened,
  paths: readonly string[],
): Promise<readonly (RemoteFile | undefined)[]> {
  const { repository, revision, commit, memory, ask } = opened;
  const facts = new Map<string, FileFacts | null>();
  const unknown: string[] = [];
  for (const path of paths) {
    const known = await memory.file(commit, path);
    if (known === undefined) unknown.push(path);
    else facts.set(path, known);
  }
  for (let start = 0; start < unknown.length; start += pathsAtOnce) {
    const asked = unknown.slice(start, start + pathsAtOnce);
    memory.requireOnline(`${repository}:${asked[0] ?? ''}@${revision}`);
    const answered = await ask(`${repository}@${revision}`, (client, access) =>
      client.pathsInfo({ repo: repository, revision: commit, paths: asked, ...access }),
    );
    for (const path of asked) {
      const entry = answered.find((each) => each.path === path && each.type === 'file');
      const found = entry === undefined ? null : factsOf(entry, repository);
      facts.set(path, found);
      await memory.rememberFile(commit, { path, facts: found });
    }
  }
  return paths.map((path) => {
    const found = facts.get(path);
    return found ? remoteFile(opened, { path, facts: found }) : undefined;
  });
}

function factsOf(entry: hub.PathInfo, repository: string): FileFacts {
  const hash =
    entry.lfs === undefined
      ? contentHash('git-blob', entry.oid)
      : contentHash('sha256', entry.lfs.oid);
  const size = entry.lfs?.size ?? entry.size;
  if (hash !== undefined && isSize(size)) return { size, hash };
  throw new HubError({
    code: 'SERVER_FAILED',
    message: `${repository}: the hub gave no hash and size of ${entry.path}`,
    got: { size, hash: entry.lfs?.oid ?? entry.oid },
  });
}

function remoteFile(
  { repository, commit, hubUrl }: Opened,
  { path, facts }: { path: string; facts: FileFacts },
): RemoteFile {
  const address = `${hubUrl.replace(/\/$/, '')}/${repository}/resolve/${commit}/${encodePath(path)}`;
  return {
    url: new URL(address),
    model: `${repository}:${path}`,
    // By content: a commit that leaves the file as it is downloads nothing.
    place: [
      new URL(hubUrl).host,
      repository.replace('/', '--'),
      facts.hash.value.slice(0, 16),
      path,
    ],
    revision: commit,
    ...facts,
  };
}

function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}

function explain(
  what: string,
  {
    cause,
    options,
    errorCode,
  }: { cause: unknown; options: ResolveOptions; errorCode: string | null },
): unknown {
  if (cause instanceof HubError) return cause;
  if (options.signal?.aborted === true) {
    return new HubError({
      code: 'ABORTED',
      message: `${what}: aborted`,
      cause: options.signal.reason,
    });
  }
  const status = statusOf(cause);
  if (status !== undefined) {
    return statusError(what, { status, hasToken: options.token !== undefined, errorCode, cause });
  }
  const reason = cause instanceof Error ? cause.message : String(cause);
  if (cause instanceof DOMException && cause.name === 'TimeoutError') {
    return new HubError({
      code: 'OFFLINE',
      message: `${what}: the hub did not answer in time`,
      cause,
    });
  }
  // `fetch` says TypeError for everything that kept an answer from coming; the client, for a malformed token.
  if (cause instanceof TypeError && !reason.includes('access token')) {
    return new HubError({
      code: 'OFFLINE',
      message: `${what}: the hub cannot be reached: ${reason}`,
      cause,
    });
  }
  if (cause instanceof TypeError) return cause;
  return new HubError({ code: 'SERVER_FAILED', message: `${what}: ${reason}`, cause });
}

function statusOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('statusCode' in error)) return undefined;
  return typeof error.statusCode === 'number' ? error.statusCode : undefined;
}
