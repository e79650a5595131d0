/** Files in repositories of the hub, through its official client. */
import { HubError, statusError } from './errors.js';
import { guardedFetch } from './guarded-fetch.js';
import type { RepositoryReference } from './parse-reference.js';
import { pickModelFile, type RepositoryFile } from './pick-model-file.js';
import { type ResolveOptions, defaultHubUrl } from './resolve-options.js';

/** Far above any real model repository; a list without an end stops here. */
const mostFiles = 20_000;

/** A revision of a repository, fixed to the commit it was when it was asked for. */
export interface OpenRepository {
  readonly name: string;
  /** The commit. */
  readonly revision: string;
  /** The only model file. */
  pickFile(): Promise<string>;
  /** The address of a file, after making sure that it is there and may be read. */
  locate(path: string): Promise<URL>;
}

/** @throws HubError `NOT_FOUND`, `ACCESS_DENIED`, `OFFLINE`, `SERVER_FAILED`, `ABORTED` */
export async function openRepository(
  { repository, revision = 'main' }: RepositoryReference,
  options: ResolveOptions,
): Promise<OpenRepository> {
  const {
    fetch = globalThis.fetch,
    signal,
    token,
    timeout = 30_000,
    hubUrl = defaultHubUrl,
  } = options;
  const access = {
    fetch: guardedFetch({ fetch, signal, timeout }),
    hubUrl,
    ...(token === undefined ? {} : { accessToken: token }),
  };
  const what = `${repository}@${revision}`;
  const guard = async <T>(subject: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (cause) {
      throw explain(subject, { cause, options });
    }
  };
  // Only who asks for a repository loads the client.
  const client = await import('@huggingface/hub');
  // A branch may move while the file is read, range by range: a commit does not.
  const { sha } = await guard(what, () =>
    client.modelInfo({ name: repository, revision, additionalFields: ['sha'], ...access }),
  );
  if (typeof sha !== 'string' || !/^[0-9a-f]{40,64}$/.test(sha)) {
    throw new HubError({
      code: 'SERVER_FAILED',
      message: `${what}: the hub gave no commit`,
      expected: 'a commit hash',
      got: sha,
    });
  }
  return {
    name: repository,
    revision: sha,
    pickFile: () =>
      guard(what, async () => {
        const files: RepositoryFile[] = [];
        const list = client.listFiles({
          repo: repository,
          revision: sha,
          recursive: true,
          ...access,
        });
        for await (const { path, size, type } of list) {
          if (type === 'file') files.push({ path, size });
          if (files.length > mostFiles) break;
        }
        return pickModelFile(repository, files);
      }),
    locate: (path) =>
      guard(`${repository}:${path}@${revision}`, async () => {
        const encoded = path.split('/').map(encodeURIComponent).join('/');
        const info = await client.fileDownloadInfo({
          repo: repository,
          path: encoded,
          revision: sha,
          ...access,
        });
        if (info === null)
          throw new HubError({
            code: 'NOT_FOUND',
            message: `${repository} at ${revision} has no file ${path}`,
            got: path,
          });
        return new URL(info.url);
      }),
  };
}

function explain(
  what: string,
  { cause, options }: { cause: unknown; options: ResolveOptions },
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
    return statusError(what, { status, hasToken: options.token !== undefined, cause });
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
