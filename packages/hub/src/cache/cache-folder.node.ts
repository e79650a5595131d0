import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';

/** The variable that moves everything that rwkv-ts keeps and that may be deleted at any time. */
export const cacheVariable = 'RWKV_TS_CACHE';

export interface CacheFolderOptions {
  readonly platform?: string;
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/**
 * Where rwkv-ts keeps what may be deleted at any time: `$RWKV_TS_CACHE`, else `rwkv-ts` among this user's caches
 * (`$XDG_CACHE_HOME` or ~/.cache; ~/Library/Caches on macOS; %LOCALAPPDATA% on Windows).
 */
export function defaultCacheFolder({
  platform = process.platform,
  environment = process.env,
}: CacheFolderOptions = {}): string {
  const chosen = environment[cacheVariable];
  if (chosen !== undefined && chosen !== '') return resolve(chosen);
  const home = homedir();
  if (platform === 'darwin') return join(home, 'Library', 'Caches', 'rwkv-ts');
  if (platform === 'win32') {
    return join(environment['LOCALAPPDATA'] ?? join(home, 'AppData', 'Local'), 'rwkv-ts');
  }
  // Relative paths in the variable are to be ignored (XDG base directory specification).
  const caches = environment['XDG_CACHE_HOME'] ?? '';
  return join(isAbsolute(caches) ? caches : join(home, '.cache'), 'rwkv-ts');
}
