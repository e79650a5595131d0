import { RwkvError } from '@rwkv-ts/backend';
import { type ByteSource, blobSource, httpSource } from '@rwkv-ts/weights';
import { HubError, statusError } from './errors.js';
import { type RepositoryReference, isInnerPath, parseReference } from './parse-reference.js';
import { openRepository } from './repository.js';
import { type ResolveOptions, defaultHubUrl } from './resolve-options.js';

/** A model file, and the way to the files beside it. */
export interface ResolvedModel extends ByteSource {
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
  readonly isFile?: (path: string) => Promise<boolean>;
  /** The path of a file beside another. */
  readonly besidePath?: (path: string, fileName: string) => string;
}

export type ResolveModel = (
  reference: string | URL,
  options?: ResolveOptions,
) => Promise<ResolvedModel>;

export function createResolver(platform: Platform): ResolveModel {
  return async (reference, options = {}) => {
    const parsed = parseReference(String(reference));
    if (parsed.kind === 'path') return openPath(parsed.path, platform);
    if (parsed.kind === 'url') return openUrl(parsed.url, options);
    const text = String(reference);
    if (!parsed.explicit && (await platform.isFile?.(text)) === true) {
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
  return withSiblings(await openFile(path), (name) => openFile(besidePath(path, name)));
}

async function openUrl(url: URL, options: ResolveOptions): Promise<ResolvedModel> {
  if (url.protocol === 'blob:' || url.protocol === 'data:') {
    const source = await openLocalUrl(url, options);
    return withSiblings(source, () => Promise.reject(noSiblings(url.protocol)));
  }
  return withSiblings(await openRemote(url, options), (name) =>
    openRemote(new URL(encodeURIComponent(name), url), options),
  );
}

async function openInRepository(
  reference: RepositoryReference,
  options: ResolveOptions,
): Promise<ResolvedModel> {
  const repository = await openRepository(reference, options);
  const path = reference.file ?? (await repository.pickFile());
  const open = async (file: string): Promise<ByteSource> =>
    openRemote(await repository.locate(file), options);
  const folder = path.slice(0, path.lastIndexOf('/') + 1);
  return withSiblings(await open(path), (name) => open(folder + name));
}

function withSiblings(
  source: ByteSource,
  open: (fileName: string) => Promise<ByteSource>,
): ResolvedModel {
  return {
    name: source.name,
    size: source.size,
    read: (offset, length, options) => source.read(offset, length, options),
    openSibling: async (fileName) => {
      if (!isInnerPath(fileName) || /[/\\\0]/.test(fileName)) throw noPlainName(fileName);
      return open(fileName);
    },
    [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
  };
}

async function openRemote(url: URL, options: ResolveOptions): Promise<ByteSource> {
  const { cache } = options;
  const download = (): Promise<ByteSource> => openHttp(url, options);
  return cache === undefined ? download() : cache.open(url, download);
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
    if (signal?.aborted === true) {
      throw new HubError({ code: 'ABORTED', message: `${name}: aborted`, cause: signal.reason });
    }
    throw new HubError({ code: 'NOT_FOUND', message: `${name}: it cannot be opened`, cause });
  }
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
