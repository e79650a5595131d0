/** Models that are named by reference: downloaded once into the cache of this machine, or streamed. */
import {
  createModelCache,
  type DownloadProgress,
  HubError,
  type ModelCache,
  parseReference,
  type ResolvedModel,
  type ResolveOptions,
  resolveModel,
} from '@rwkv-ts/hub';
import { type Command, Option } from 'commander';
import { UsageError } from './failure.js';
import { folderName } from './option-values.js';
import { humanBytes } from './sizes.js';
import type { Terminal } from './terminal.js';

export interface CacheOptions {
  /** False for `--no-cache`. */
  readonly cache?: boolean;
  readonly cacheFolder?: string;
  readonly offline?: true;
}

export function cacheFolderOption(): Option {
  return new Option(
    '--cache-folder <folder>',
    "where downloaded models lie (default: models in $RWKV_TS_CACHE, or in rwkv-ts among this user's caches)",
  ).argParser(folderName);
}

export function addCacheOptions(command: Command): Command {
  return command
    .option('--no-cache', 'read a remote model over the network, and keep nothing of it')
    .option('--offline', 'use only what was downloaded before')
    .addOption(cacheFolderOption());
}

export function openCache({ cacheFolder }: Pick<CacheOptions, 'cacheFolder'>): ModelCache {
  return createModelCache(cacheFolder === undefined ? {} : { folder: cacheFolder });
}

/** What the environment says of the hub, in the variables of its own tools. @throws UsageError */
export function hubAccess(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Pick<ResolveOptions, 'token' | 'hubUrl'> {
  const token = environment['HF_TOKEN']?.trim() ?? '';
  const hubUrl = environment['HF_ENDPOINT']?.trim() ?? '';
  if (token !== '' && !/^hf_\w+$/.test(token)) {
    throw new UsageError('HF_TOKEN is no access token of the hub: those begin with hf_.');
  }
  if (hubUrl !== '' && !(/^https?:/i.test(hubUrl) && URL.canParse(hubUrl))) {
    throw new UsageError(`HF_ENDPOINT is no address of a hub: ${hubUrl}`);
  }
  return {
    ...(token === '' ? {} : { token }),
    ...(hubUrl === '' ? {} : { hubUrl: hubUrl.replace(/\/+$/, '') }),
  };
}

/** Opens what `--model` names; what is remote comes through the cache, with a progress bar. */
export async function openReference(
  reference: string,
  options: CacheOptions,
  terminal: Terminal,
): Promise<ResolvedModel> {
  const streamed = {
    // Whoever names a file needs no hub.
    ...(parseReference(reference).kind === 'path' ? {} : hubAccess()),
    signal: terminal.signal,
    onNotice: ({ message }: { message: string }) => {
      terminal.warn(message);
    },
    ...(options.offline === undefined ? {} : { offline: options.offline }),
  };
  if (options.cache === false) return resolveModel(reference, streamed);
  const cache = openCache(options);
  using progress = downloadProgress(cache, terminal);
  return await resolveModel(reference, { ...streamed, cache, onProgress: progress.tell });
}

/** As `openReference`, for who reads little of it: over the network, and from the cache only where that is not there. */
export async function peekReference(
  reference: string,
  options: CacheOptions,
  terminal: Terminal,
): Promise<ResolvedModel> {
  if (options.offline === true) return openReference(reference, options, terminal);
  try {
    return await openReference(reference, { ...options, cache: false }, terminal);
  } catch (error) {
    if (!(error instanceof HubError) || error.code !== 'OFFLINE' || options.cache === false) {
      throw error;
    }
    const held = await openReference(reference, { ...options, offline: true }, terminal).catch(
      () => undefined,
    );
    if (held === undefined) throw error;
    terminal.warn(`${error.message}; this is the file that was downloaded before`);
    return held;
  }
}

/** A bar on terminals; one line that says what is coming, and one while another process is downloading it. */
export function downloadProgress(
  { location }: Pick<ModelCache, 'location'>,
  terminal: Pick<Terminal, 'note' | 'progress'>,
): Disposable & { tell: (progress: DownloadProgress) => void } {
  const bar = terminal.progress('Downloading');
  const said = new Set<string>();
  const once = (text: string): void => {
    if (!said.has(text)) terminal.note(text);
    said.add(text);
  };
  return {
    tell: ({ phase, file, done, total }) => {
      if (phase === 'wait') once(`waiting: another process is downloading ${file}`);
      else bar.update(done, total);
      // A small configuration is not worth a line.
      const isLarge = total >= 1 << 20;
      if (phase === 'download' && isLarge) {
        once(`downloading ${humanBytes(total)} into ${location}`);
      }
    },
    [Symbol.dispose]: () => {
      bar[Symbol.dispose]();
    },
  };
}
