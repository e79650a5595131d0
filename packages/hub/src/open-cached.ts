/** A model through a cache: its file, and whatever else it consists of, all downloaded before anything is read. */
import type { ByteSource } from '@rwkv-ts/weights';
import type {
  CachedFile,
  DownloadProgress,
  FetchFileOptions,
  ModelCache,
  RemoteFile,
} from './cache/model-cache.js';
import { idOf } from './cache/record.js';
import { HubError } from './errors.js';
import { isInnerPath } from './parse-reference.js';
import { type ResolveOptions, defaultHubUrl } from './resolve-options.js';

export interface RemoteModel {
  readonly file: RemoteFile;
  /** Files beside it, by their plain names; undefined for those that are known not to be there. */
  readonly describe: (names: readonly string[]) => Promise<readonly (RemoteFile | undefined)[]>;
}

export interface OpenedModel {
  readonly source: ByteSource;
  readonly path: string | undefined;
  readonly cached: readonly CachedFile[];
  readonly open: (fileName: string) => Promise<ByteSource>;
}

/** An index lists some dozens of shards; more than this is no model. */
const mostShards = 2000;
const longestIndex = 100 * 1024 * 1024;
const isIndex = (name: string): boolean => /\.index\.json$/i.test(name);
/** Layouts of Hugging Face, which say some things in a file of their own. */
const mayHaveConfig = (name: string): boolean => /\.(?:safetensors|bin|json)$/i.test(name);
const configName = 'config.json';
/** What means that there is no such file; a server may refuse instead. */
const absent: ReadonlySet<unknown> = new Set(['NOT_FOUND', 'ACCESS_DENIED']);

export async function openCached(
  cache: ModelCache,
  options: ResolveOptions,
  { file, describe }: RemoteModel,
): Promise<OpenedModel> {
  const progress = sharedProgress(options.onProgress);
  const fetchOptions = fetchOptionsOf(options);
  const download = async (one: RemoteFile): Promise<CachedFile> => {
    const held = await cache.download(one, { ...fetchOptions, onProgress: progress.of(one) });
    progress.finish(one, held);
    return held;
  };
  const partOf = idOf(file);
  const asPart = (part: RemoteFile): RemoteFile => ({ ...part, model: file.model, partOf });
  const name = file.place.at(-1) ?? '';

  progress.expect([file]);
  const main = await download(file);
  const cached = [main];
  const shards = isIndex(name) ? await shardNames(cache, file, fetchOptions) : [];
  const found = await describe(shards);
  const missing = shards.find((_, i) => found[i] === undefined);
  if (missing !== undefined) throw missingShard(file, missing);
  const parts = found.filter((part) => part !== undefined).map(asPart);
  const [config] = mayHaveConfig(name) ? await describe([configName]) : [];
  progress.expect(parts);
  for (const part of parts) cached.push(await download(part));
  const held = config && (await downloadConfig(asPart(config), { cache, main, fetchOptions }));
  if (held !== undefined) cached.push(held);
  return {
    source: await cache.open(file, { ...fetchOptions, offline: true }),
    path: main.path,
    cached,
    open: async (fileName) => {
      const isAbsent = fileName === configName && held === undefined && mayHaveConfig(name);
      const [part] = isAbsent ? [] : await describe([fileName]);
      if (part === undefined) throw missingSibling(file, fileName);
      return cache.open(asPart(part), fetchOptions);
    },
  };
}

function fetchOptionsOf({
  fetch,
  signal,
  token,
  hubUrl = defaultHubUrl,
  offline,
  network,
  onNotice,
}: ResolveOptions): FetchFileOptions {
  return {
    tokenOrigin: new URL(hubUrl).origin,
    ...(fetch === undefined ? {} : { fetch }),
    ...(signal === undefined ? {} : { signal }),
    ...(token === undefined ? {} : { token }),
    ...(offline === undefined ? {} : { offline }),
    ...(network === undefined ? {} : { network }),
    ...(onNotice === undefined ? {} : { onNotice }),
  };
}

interface ConfigRequest {
  readonly cache: ModelCache;
  /** The file that the configuration would belong to. */
  readonly main: CachedFile;
  readonly fetchOptions: FetchFileOptions;
}

/**
 * A configuration is welcome and not needed. That a URL has none beside it is remembered while the file stays the same, so
 * that it opens without a connection too.
 */
async function downloadConfig(
  config: RemoteFile,
  { cache, main, fetchOptions }: ConfigRequest,
): Promise<CachedFile | undefined> {
  const key = `${config.url.href} is not beside ${main.hash?.value ?? main.id}`;
  if ((await cache.recall(key)) === true) return undefined;
  try {
    return await cache.download(config, fetchOptions);
  } catch (error) {
    if (!(error instanceof HubError) || !absent.has(error.code)) throw error;
    await cache.remember(key, true);
    return undefined;
  }
}

/** Of all files of a model as one. */
function sharedProgress(tell: ((progress: DownloadProgress) => void) | undefined) {
  const files = new Map<string, { done: number; total: number }>();
  return {
    expect: (expected: readonly RemoteFile[]) => {
      for (const file of expected) files.set(idOf(file), { done: 0, total: file.size ?? 0 });
    },
    /** What was here already tells nothing by itself, and counts. */
    finish: (file: RemoteFile, { received }: CachedFile) => {
      files.set(idOf(file), { done: received, total: received });
    },
    of:
      (file: RemoteFile) =>
      (progress: DownloadProgress): void => {
        files.set(idOf(file), { done: progress.done, total: progress.total });
        let done = 0;
        let total = 0;
        for (const each of files.values()) {
          done += each.done;
          total += each.total;
        }
        tell?.({ ...progress, done, total });
      },
  };
}

/** The distinct files that an index puts tensors into. What the index says of tensors is for `@rwkv-ts/weights` to check. */
async function shardNames(
  cache: ModelCache,
  file: RemoteFile,
  options: FetchFileOptions,
): Promise<readonly string[]> {
  await using source = await cache.open(file, { ...options, offline: true });
  if (source.size > longestIndex) return [];
  const bytes = await source.read(0, source.size);
  let map: unknown;
  try {
    const index = JSON.parse(new TextDecoder().decode(bytes)) as { weight_map?: unknown } | null;
    map = index?.weight_map;
  } catch {
    return [];
  }
  if (typeof map !== 'object' || map === null) return [];
  const names = [...new Set<unknown>(Object.values(map))];
  const isName = (name: unknown): name is string =>
    typeof name === 'string' && isInnerPath(name) && !/[/\\\0]/.test(name);
  if (names.length <= mostShards && names.every(isName)) return names;
  throw new HubError({
    code: 'SERVER_FAILED',
    message: `${file.model}: its index names ${names.length} files that are not all plain names of files beside it`,
    expected: mostShards,
    got: names.length,
  });
}

function missingShard(file: RemoteFile, name: string): HubError {
  return new HubError({
    code: 'NOT_FOUND',
    message: `${file.model}: its index names ${name}, which is not there`,
    got: name,
  });
}

function missingSibling(file: RemoteFile, name: string): HubError {
  return new HubError({
    code: 'NOT_FOUND',
    message: `${file.model}: there is no ${name} beside it`,
    got: name,
  });
}
