/** What the hub answered before, kept in the cache: for speed where answers cannot change, and for when it cannot be asked. */
import { type ContentHash, contentHash } from './cache/content-hash.js';
import { isObject, isSize } from './cache/record.js';
import { HubError } from './errors.js';
import type { ResolveOptions } from './resolve-options.js';

/** What the hub knows of a file at a commit. */
export interface FileFacts {
  readonly size: number;
  readonly hash: ContentHash;
}

export interface HubMemory {
  /** The commit of a branch or tag, by asking (milliseconds it may take), or as it was last time where nobody answers. */
  commit(revision: string, ask: (timeout?: number) => Promise<string>): Promise<string>;
  /** The only model file of a commit. */
  picked(commit: string, ask: () => Promise<string>): Promise<string>;
  /** Null where the commit has no such file, undefined where that was never asked. */
  file(commit: string, path: string): Promise<FileFacts | null | undefined>;
  rememberFile(
    commit: string,
    { path, facts }: { path: string; facts: FileFacts | null },
  ): Promise<void>;
  /** @throws HubError `OFFLINE` where nothing may be asked */
  requireOnline(what: string): void;
}

/** How long somebody waits for a hub that may be away, when it works without it. */
const shortTimeout = 10_000;
const passing: ReadonlySet<string> = new Set(['OFFLINE', 'SERVER_FAILED', 'RATE_LIMITED']);

/** `about` is the hub and the repository. */
export function hubMemory(options: ResolveOptions, about: string): HubMemory {
  const { cache, offline, onNotice } = options;
  const recall = async (key: string): Promise<Record<string, unknown>> => {
    const value = await cache?.recall(`${about} ${key}`);
    return isObject(value) ? value : {};
  };
  const remember = async (key: string, value: unknown): Promise<void> => {
    await cache?.remember(`${about} ${key}`, value);
  };
  const requireOnline = (what: string): void => {
    if (offline !== true) return;
    throw new HubError({
      code: 'OFFLINE',
      message: `${what}: not in the cache, and nothing may be downloaded`,
      got: what,
    });
  };
  return {
    requireOnline,
    commit: async (revision, ask) => {
      if (cache !== undefined && /^[0-9a-f]{40}$/.test(revision)) return revision;
      const { commit: known } = await recall(`@${revision}`);
      const last = typeof known === 'string' && /^[0-9a-f]{40,64}$/.test(known) ? known : undefined;
      if (offline === true && last !== undefined) return last;
      requireOnline(`${about}@${revision}`);
      try {
        const commit = await ask(last === undefined ? undefined : shortTimeout);
        if (commit !== last) await remember(`@${revision}`, { commit });
        return commit;
      } catch (error) {
        if (last === undefined || !(error instanceof HubError) || !passing.has(error.code)) {
          throw error;
        }
        const message = `${error.message}; ${revision} is taken as it was last time, commit ${last.slice(0, 12)}`;
        onNotice?.({ code: 'LAST_KNOWN_COMMIT', message });
        return last;
      }
    },
    picked: async (commit, ask) => {
      const { picked } = await recall(`${commit} model`);
      if (typeof picked === 'string') return picked;
      requireOnline(about);
      const path = await ask();
      await remember(`${commit} model`, { picked: path });
      return path;
    },
    file: async (commit, path) => {
      const { facts } = await recall(`${commit} file ${path}`);
      return facts === null ? null : parseFileFacts(facts);
    },
    rememberFile: (commit, { path, facts }) => remember(`${commit} file ${path}`, { facts }),
  };
}

/** What was written down once, if it still makes sense. */
function parseFileFacts(value: unknown): FileFacts | undefined {
  if (!isObject(value) || !isSize(value['size']) || !isObject(value['hash'])) return undefined;
  const { algorithm, value: digits } = value['hash'];
  if (algorithm !== 'sha256' && algorithm !== 'git-blob') return undefined;
  const hash = contentHash(algorithm, digits);
  return hash && { size: value['size'], hash };
}
