import { RwkvError } from '@rwkv-ts/backend';
import { type ByteSource, blobSource, httpSource } from '@rwkv-ts/weights';
import { contentHash, shortHash } from './cache/content-hash.js';
import type { CachedFile, CachedModel, RemoteFile } from './cache/model-cache.js';
import { HubError, abortedError, statusError } from './errors.js';
import { openCached } from './open-cached.js';
import { type RepositoryReference, isInnerPath, parseReference } from './parse-reference.js';
import { type OpenRepository, openRepository } from './repository.js';
import { type ResolveOptions, defaultHubUrl } from './resolve-options.js';

/** A model file, and the way to the files beside it. */
export interface ResolvedModel extends ByteSource {
  /** Where it is on this machine: in Node, for paths and for what came through a cache. */
  readonly path?: string;
  /** What it consists of in the cache, where it came through one; the file itself first. */
  readonly cached?: readonly CachedFile[];
  /**
   * Opens a file next to this one by its plain name: the other shards of a sharded model.
   * @throws HubError `REFERENCE_INVALID` for a name that leads elsewhere; what opening throws
   */
  openSibling(fileName: string): Promise<ByteSource>;
}

/** What differs between Node and browsers. */
export interface Platform {
  /** Opens a path or `file:` URL. */
  readonly openFile?: (path: string) => Promise<ByteSource>;
  readonly exists?: (path: string) => Promise<boolean>;
  /** The path of a file beside another. */
  readonly besidePath?: (path: string, fileName: string) => string;
}

export type ResolveModel = (
  reference: string | URL,
  options?: ResolveOptions,
) => Promise<ResolvedModel>;

export type DownloadModel = (
  reference: string | URL,
  options: ResolveOptions & Required<Pick<ResolveOptions, 'cache'>>,
) => Promise<CachedModel>;

export function createDownloader(platform: Platform): DownloadModel {
  const resolve = createResolver(platform);
  const identify: (...given: Parameters<DownloadModel>) => Promise<string | undefined> = async (
    ...given
  ) => {
    await using model = await resolve(...given);
    return model.cached?.[0]?.id;
  };
  return async (reference, options) => {
    const id = await identify(reference, options);
    const models = await options.cache.list();
    const model = models.find(({ files }) => files.some((file) => file.id === id));
    if (model !== undefined) return model;
    throw new HubError({
      code: 'REFERENCE_INVALID',
      message: `${String(reference)} is on this machine already; only files of the hub and of URLs are downloaded`,
      expected: 'a URL or owner/repository[:file][@revision]',
      got: String(reference),
    });
  };
}

export function createResolver(platform: Platform): ResolveModel {
  return async (reference, options = {}) => {
    const parsed = parseReference(String(reference));
    if (parsed.kind === 'path') return openPath(parsed.path, platform);
    if (parsed.kind === 'url') return openUrl(parsed.url, options);
    const text = String(reference);
    // A folder too: whoever names one that is there means it, and is told that it is a folder.
    if (!parsed.explicit && (await platform.exists?.(text)) === true) {
      return openPath(text, platform);
    }
    return openInRepository(parsed, options);
  };
}

async function openPath(path: string, platform: Platform): Promise<ResolvedModel> {
  const { openFile, besidePath } = platform;
  if (openFile === undefined || besidePath === undefined) {
    throw new HubError({
      code: 'LOCAL_FILES_UNAVAILABLE',
      message: `${path}: a browser opens no paths; let the user choose a file and pass the File, or give a URL`,
      got: path,
    });
  }
  const source = await openFile(path);
  return withSiblings(source, {
    open: (name) => openFile(besidePath(path, name)),
    path: source.name,
  });
}

async function openUrl(url: URL, options: ResolveOptions): Promise<ResolvedModel> {
  if (url.protocol === 'blob:' || url.protocol === 'data:') {
    const source = await openLocalUrl(url, options);
    return withSiblings(source, { open: () => Promise.reject(noSiblings(url.protocol)) });
  }
  if (url.username !== '' || url.password !== '') throw holdsPassword(url);
  const beside = (name: string): URL => new URL(encodeURIComponent(name), url);
  if (options.cache !== undefined) {
    const { source, ...rest } = await openCached(options.cache, options, {
      file: urlFile(url, { model: shownUrl(url), sha256: options.sha256 }),
      describe: async (names) =>
        names.map((name) => urlFile(beside(name), { model: shownUrl(url) })),
    });
    return withSiblings(source, rest);
  }
  requireOnline(shownUrl(url), options);
  return withSiblings(await openHttp(url, options), {
    open: (name) => openHttp(beside(name), options),
  });
}

async function openInRepository(
  reference: RepositoryReference,
  options: ResolveOptions,
): Promise<ResolvedModel> {
  const repository = await openRepository(reference, options);
  const path = reference.file ?? (await repository.pickFile());
  if (!isInnerPath(path)) throw noInnerPath(path);
  const folder = path.slice(0, path.lastIndexOf('/') + 1);
  if (options.cache !== undefined) {
    const { source, ...rest } = await openCached(options.cache, options, {
      file: await describeOne(repository, reference, path),
      describe: (names) => repository.describe(names.map((name) => folder + name)),
    });
    return withSiblings(source, rest);
  }
  const open = async (file: string): Promise<ByteSource> =>
    openHttp(await repository.locate(file), options);
  return withSiblings(await open(path), { open: (name) => open(folder + name) });
}

async function describeOne(
  repository: OpenRepository,
  { repository: name, revision = 'main' }: RepositoryReference,
  path: string,
): Promise<RemoteFile> {
  const [file] = await repository.describe([path]);
  if (file !== undefined) return file;
  throw new HubError({
    code: 'NOT_FOUND',
    message: `${name} at ${revision} has no file ${path}`,
    got: path,
  });
}

interface Beside {
  readonly open: (fileName: string) => Promise<ByteSource>;
  readonly path?: string | undefined;
  readonly cached?: readonly CachedFile[];
}

function withSiblings(source: ByteSource, { open, path, cached }: Beside): ResolvedModel {
  return {
    name: source.name,
    size: source.size,
    ...(path === undefined ? {} : { path }),
    ...(cached === undefined ? {} : { cached }),
    read: (offset, length, options) => source.read(offset, length, options),
    openSibling: async (fileName) => {
      if (!isInnerPath(fileName) || /[/\\\0]/.test(fileName)) throw noPlainName(fileName);
      return open(fileName);
    },
    [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
  };
}

async function openHttp(url: URL, options: ResolveOptions): Promise<ByteSource> {
  const { fetch, signal, token, hubUrl = defaultHubUrl } = options;
  // A token is for the hub: no other server ever sees it.
  const authorised = token !== undefined && url.origin === new URL(hubUrl).origin;
  try {
    return await httpSource(url, {
      ...(fetch === undefined ? {} : { fetch }),
      ...(signal === undefined ? {} : { signal }),
      ...(authorised ? { headers: { Authorization: `Bearer ${token}` } } : {}),
    });
  } catch (cause) {
    throw explainHttp(url, { cause, hasToken: authorised });
  }
}

/** Statuses that mean something to a person get their own code; everything else is told by `httpSource` already. */
function explainHttp(
  url: URL,
  { cause, hasToken }: { cause: unknown; hasToken: boolean },
): unknown {
  if (!RwkvError.isInstance(cause) || cause.code !== 'SOURCE_FAILED') return cause;
  const { got } = cause;
  if (got === 401 || got === 403 || got === 404) {
    return statusError(url.href, { status: got, hasToken, cause });
  }
  if (cause.cause instanceof TypeError) {
    return new HubError({
      code: 'OFFLINE',
      message: `${url.href}: the server cannot be reached: ${cause.cause.message}`,
      cause,
    });
  }
  return cause;
}

/** The bytes of a `blob:` or `data:` URL are on this machine, and such URLs know no ranges. */
async function openLocalUrl(
  url: URL,
  { fetch = globalThis.fetch, signal }: ResolveOptions,
): Promise<ByteSource> {
  const name = `${url.href.slice(0, 60)}${url.href.length > 60 ? '…' : ''}`;
  try {
    const response = await fetch(url.href, signal === undefined ? {} : { signal });
    return blobSource(await response.blob(), { name });
  } catch (cause) {
    if (signal?.aborted === true) throw abortedError(name, signal);
    throw new HubError({ code: 'NOT_FOUND', message: `${name}: it cannot be opened`, cause });
  }
}

/** Without what may be secret in it. */
function shownUrl({ origin, pathname }: URL): string {
  return origin + pathname;
}

/** A file that may change at its address; by its hash, where the caller knows that. */
function urlFile(
  url: URL,
  { model, sha256 }: { model: string; sha256?: string | undefined },
): RemoteFile {
  const hash = contentHash('sha256', sha256);
  if (sha256 !== undefined && hash === undefined) {
    throw new TypeError('sha256 is 64 hexadecimal digits');
  }
  const last = url.pathname.split('/').at(-1) ?? '';
  const name = decoded(last) || 'file';
  const plain = new URL(url);
  plain.hash = '';
  return {
    url: plain,
    model,
    place: [url.host, shortHash(hash?.value ?? plain.href).slice(0, 16), name],
    ...(hash === undefined ? {} : { hash }),
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function requireOnline(what: string, { offline }: ResolveOptions): void {
  if (offline !== true) return;
  throw new HubError({
    code: 'OFFLINE',
    message: `${what}: nothing may be downloaded, and there is no cache to take it from`,
    got: what,
  });
}

function holdsPassword(url: URL): HubError {
  return new HubError({
    code: 'REFERENCE_INVALID',
    message: `${shownUrl(url)}: a URL with a name and password in it is not opened; pass a \`fetch\` that sends them`,
    expected: 'a URL without user information',
  });
}

function noInnerPath(got: string): HubError {
  return new HubError({
    code: 'SERVER_FAILED',
    message: `The hub lists a file whose path leads out of its repository: ${JSON.stringify(got)}`,
    got,
  });
}

function noPlainName(got: string): HubError {
  return new HubError({
    code: 'REFERENCE_INVALID',
    message: `Expected the plain name of a file beside the model, got ${JSON.stringify(got)}`,
    got,
  });
}

function noSiblings(protocol: string): HubError {
  return new HubError({
    code: 'REFERENCE_INVALID',
    message: `A ${protocol} URL has no files beside it; give the model in one file`,
  });
}
