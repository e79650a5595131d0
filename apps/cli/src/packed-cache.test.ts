import { homedir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { defaultPackedFolder } from './packed-cache.js';

it.each<[string, Record<string, string>, string]>([
  ['linux', {}, join(homedir(), '.cache/rwkv-ts/packed')],
  ['linux', { XDG_CACHE_HOME: '/caches' }, join('/caches/rwkv-ts/packed')],
  ['linux', { XDG_CACHE_HOME: 'relative' }, join(homedir(), '.cache/rwkv-ts/packed')],
  ['darwin', { XDG_CACHE_HOME: '/caches' }, join(homedir(), 'Library/Caches/rwkv-ts/packed')],
  ['win32', { LOCALAPPDATA: 'C:\\local' }, join('C:\\local', 'rwkv-ts', 'packed')],
  ['linux', { RWKV_TS_CACHE: '/moved', XDG_CACHE_HOME: '/caches' }, join('/moved/packed')],
  ['win32', {}, join(homedir(), 'AppData/Local/rwkv-ts/packed')],
])('on %s with %o it is %s', (platform, environment, folder) => {
  expect(defaultPackedFolder(platform, environment)).toBe(folder);
});
