/** Models as files in a folder of this machine. */
import { randomUUID } from 'node:crypto';
import {
  mkdir,
  open,
  readFile,
  readdir,
  rename,
  rm,
  rmdir,
  stat,
  statfs,
  writeFile,
} from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileSource } from '@rwkv-ts/weights/node';
import { HubError } from '../errors.js';
import { createNodeHash } from './content-hash.node.js';
import { fileLock } from './file-lock.node.js';
import type { Appender, CacheStorage, FileFacts } from './storage.js';

/** By this file backup programs know a folder that may be deleted at any time (bford.info/cachedir). */
const tag = {
  name: 'CACHEDIR.TAG',
  text: 'Signature: 8a477f597d28d172789f06886806bc55\n# Models downloaded by rwkv-ts; they may be deleted at any time.\n',
};

export function fileStorage(folder: string): CacheStorage {
  const location = resolve(folder);
  const at = (path: string): string => join(location, ...path.split('/'));
  const attempt = <Result>(work: () => Promise<Result>): Promise<Result> => guard(location, work);
  return {
    location,
    createHash: createNodeHash,
    list: (path) => attempt(() => filesIn(at(path))),
    read: (path) => attempt(() => present(readFile(at(path)))),
    write: (path, bytes) => attempt(() => replaceSmall(location, at(path), bytes)),
    facts: (path) => attempt(() => factsOf(at(path))),
    open: (path) => fileSource(at(path)),
    append: (path, offset) => attempt(() => openAppender(location, at(path), offset)),
    move: (from, to) =>
      attempt(async () => {
        await makeFolder(location, dirname(at(to)));
        await rename(at(from), at(to));
      }),
    remove: (path) => attempt(() => removeFile(location, at(path))),
    lock: (name, options) =>
      attempt(async () => {
        await makeFolder(location, at('locks'));
        return fileLock(at(`locks/${name}`), options);
      }),
    space: async () => {
      const free = await freeBytes(location);
      return { persisted: true, ...free };
    },
    persist: async () => true,
    localPath: at,
  };
}

async function filesIn(path: string): Promise<string[]> {
  const entries = await present(readdir(path, { withFileTypes: true }));
  return (entries ?? []).filter((entry) => entry.isFile()).map(({ name }) => name);
}

async function factsOf(path: string): Promise<FileFacts | undefined> {
  const facts = await present(stat(path));
  return facts?.isFile() === true ? { size: facts.size, modified: facts.mtimeMs } : undefined;
}

async function present<Value>(asked: Promise<Value>): Promise<Value | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** The folder and those above it. `mkdir` with `recursive` tries for ever where a parent is denied to exist, as below /proc. */
async function makeFolder(root: string, folder: string): Promise<void> {
  const make = async (path: string): Promise<void> => {
    try {
      await mkdir(path);
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return;
      const parent = dirname(path);
      if (codeOf(error) !== 'ENOENT' || parent === path) throw error;
      await make(parent);
      await mkdir(path).catch((again: unknown) => {
        if (codeOf(again) !== 'EEXIST') throw again;
      });
    }
  };
  await make(folder);
  await writeFile(join(root, tag.name), tag.text, { flag: 'wx' }).catch(() => undefined);
}

async function replaceSmall(root: string, path: string, bytes: Uint8Array): Promise<void> {
  await makeFolder(root, dirname(path));
  const fresh = `${path}.${randomUUID()}.new`;
  try {
    await writeFile(fresh, bytes, { flush: true });
    await rename(fresh, path);
  } catch (error) {
    await rm(fresh, { force: true });
    throw error;
  }
}

async function openAppender(root: string, path: string, offset: number): Promise<Appender> {
  await makeFolder(root, dirname(path));
  const handle = await open(path, 'a').then(async (created) => {
    await created.close();
    return open(path, 'r+');
  });
  let position = offset;
  await handle.truncate(offset).catch(async (error: unknown) => {
    await handle.close();
    throw error;
  });
  const attempt = <Result>(work: () => Promise<Result>): Promise<Result> => guard(path, work);
  return {
    write: (bytes) =>
      attempt(async () => {
        let written = 0;
        while (written < bytes.length) {
          const left = bytes.length - written;
          written += (await handle.write(bytes, written, left, position + written)).bytesWritten;
        }
        position += bytes.length;
      }),
    flush: () => attempt(() => handle.datasync()),
    restart: () =>
      attempt(async () => {
        await handle.truncate(0);
        position = 0;
      }),
    [Symbol.asyncDispose]: () => handle.close(),
  };
}

/** With the folders that become empty, up to the root. */
async function removeFile(root: string, path: string): Promise<void> {
  await rm(path, { force: true });
  for (let folder = dirname(path); folder.length > root.length; folder = dirname(folder)) {
    const removed = await rmdir(folder).then(
      () => true,
      () => false,
    );
    if (!removed) return;
  }
}

/** Of the disk that the folder is on, or will be. */
async function freeBytes(folder: string): Promise<{ free?: number; quota?: number }> {
  for (let path = folder; ; path = dirname(path)) {
    try {
      const { bavail, blocks, bsize } = await statfs(path);
      // File systems that count nothing say 0 of 0.
      return blocks === 0 ? {} : { free: bavail * bsize, quota: blocks * bsize };
    } catch (error) {
      if (codeOf(error) !== 'ENOENT' || dirname(path) === path) return {};
    }
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined;
}

type StorageCode = 'STORAGE_FULL' | 'STORAGE_BUSY' | 'STORAGE_UNAVAILABLE';
const failures: Readonly<Record<string, readonly [StorageCode, string]>> = {
  ENOSPC: ['STORAGE_FULL', 'the disk is full'],
  EDQUOT: ['STORAGE_FULL', 'the quota of this user is used up'],
  EFBIG: ['STORAGE_FULL', 'this disk takes no files of that size'],
  EACCES: ['STORAGE_UNAVAILABLE', 'permission denied'],
  EPERM: ['STORAGE_UNAVAILABLE', 'permission denied'],
  EROFS: ['STORAGE_UNAVAILABLE', 'this disk cannot be written'],
  ENOTDIR: ['STORAGE_UNAVAILABLE', 'a part of the path is no folder'],
  EBUSY: ['STORAGE_BUSY', 'another program uses it'],
};

/** Errors of the system as ours. */
async function guard<Result>(where: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof HubError || !(cause instanceof Error)) throw cause;
    const [code, what] = failures[codeOf(cause) ?? ''] ?? ['STORAGE_FAILED', 'it failed'];
    throw new HubError({ code, message: `${where}: ${what}: ${cause.message}`, cause });
  }
}
