/**
 * Models in the origin private file system of a browser. Files are written through synchronous access handles, which only
 * dedicated workers have; everything else works on pages too.
 */
import { type ByteSource, blobSource } from '@rwkv-ts/weights';
import { HubError, abortedError } from '../errors.js';
import { createPortableHash } from './content-hash.js';
import type { Appender, CacheStorage, FileFacts, LockOptions } from './storage.js';

/** What is used of a browser; tests bring their own. */
export interface BrowserStorage {
  readonly storage: Pick<StorageManager, 'getDirectory'> & Partial<StorageManager>;
  readonly locks: Pick<LockManager, 'request'>;
}

/** Not in the types of every environment. */
interface AccessHandle {
  write(bytes: Uint8Array, options: { at: number }): number;
  truncate(size: number): void;
  flush(): void;
  close(): void;
}

interface FileHandle extends FileSystemFileHandle {
  createSyncAccessHandle?(): Promise<AccessHandle>;
  move?(parent: FileSystemDirectoryHandle, name: string): Promise<void>;
}

export interface OpfsOptions {
  /** Folder below the origin's root. */
  readonly folder: string;
  readonly browser: BrowserStorage;
}

export function opfsStorage({ folder, browser }: OpfsOptions): CacheStorage {
  const location = `browser storage, ${folder}`;
  const tree = treeOf({ folder, browser, location });
  return {
    location,
    createHash: createPortableHash,
    list: async (path) => {
      const found = await tree.folder(path);
      const names: string[] = [];
      if (found === undefined) return names;
      for await (const [name, handle] of entriesOf(found)) {
        if (handle.kind === 'file') names.push(name);
      }
      return names;
    },
    read: async (path) => {
      const handle = await tree.file(path);
      if (handle === undefined) return undefined;
      return new Uint8Array(await (await handle.getFile()).arrayBuffer());
    },
    write: (path, bytes) => guard(location, () => replaceSmall(tree, path, bytes)),
    facts: async (path) => factsOf(await tree.file(path)),
    open: (path, name) => openFile(tree, { path, name, location }),
    append: (path, offset) => guard(location, () => openAppender(tree, { path, offset, location })),
    move: (from, to) => guard(location, () => moveFile(tree, from, to)),
    remove: (path) => guard(location, () => tree.remove(path)),
    lock: (name, options) => webLock(browser, `rwkv-ts ${folder} ${name}`, options),
    space: async () => {
      const { storage } = browser;
      const persisted = (await storage.persisted?.()) ?? false;
      const { quota, usage = 0 } = (await storage.estimate?.()) ?? {};
      return quota === undefined
        ? { persisted }
        : { free: Math.max(0, quota - usage), quota, persisted };
    },
    persist: async () => {
      const { storage } = browser;
      if ((await storage.persisted?.()) === true) return true;
      return (await storage.persist?.()) ?? false;
    },
  };
}

interface Tree {
  folder(path: string, create?: { create: true }): Promise<FileSystemDirectoryHandle | undefined>;
  file(path: string, create?: { create: true }): Promise<FileHandle | undefined>;
  remove(path: string): Promise<void>;
}

function treeOf({ folder: base, browser, location }: OpfsOptions & { location: string }): Tree {
  const root = async (): Promise<FileSystemDirectoryHandle> => {
    try {
      return await browser.storage.getDirectory();
    } catch (cause) {
      throw new HubError({
        code: 'STORAGE_UNAVAILABLE',
        message: `${location}: this browser gives no storage to this page (a private window, or settings)`,
        cause,
      });
    }
  };
  const walk = async (
    parts: readonly string[],
    options?: { create: true },
  ): Promise<FileSystemDirectoryHandle | undefined> => {
    let at: FileSystemDirectoryHandle | undefined = await root();
    for (const part of parts) {
      at = await present(at.getDirectoryHandle(part, options));
      if (at === undefined) return undefined;
    }
    return at;
  };
  const split = (path: string): { parents: string[]; name: string } => {
    const parts = [base, ...path.split('/')];
    return { parents: parts.slice(0, -1), name: parts.at(-1)! };
  };
  return {
    folder: (path, options) => walk([base, ...path.split('/')], options),
    file: async (path, options) => {
      const { parents, name } = split(path);
      const parent = await walk(parents, options);
      return parent && present(parent.getFileHandle(name, options));
    },
    remove: async (path) => {
      const { parents, name } = split(path);
      const parent = await walk(parents);
      if (parent === undefined) return;
      await present(parent.removeEntry(name));
      // Folders that became empty; without `recursive`, others refuse to go.
      for (let depth = parents.length; depth > 1; depth--) {
        const above = await walk(parents.slice(0, depth - 1));
        const removed = await above?.removeEntry(parents[depth - 1]!).then(
          () => true,
          () => false,
        );
        if (removed !== true) return;
      }
    },
  };
}

/** What a handle is asked for, or undefined where there is none. */
async function present<Value>(asked: Promise<Value>): Promise<Value | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (nameOf(error) === 'NotFoundError') return undefined;
    throw error;
  }
}

function nameOf(error: unknown): string | undefined {
  return error instanceof Error || error instanceof DOMException ? error.name : undefined;
}

/** Older type definitions lack the iteration. */
function entriesOf(folder: FileSystemDirectoryHandle): AsyncIterable<[string, FileSystemHandle]> {
  return folder;
}

async function factsOf(handle: FileHandle | undefined): Promise<FileFacts | undefined> {
  if (handle === undefined) return undefined;
  const { size, lastModified } = await handle.getFile();
  return { size, modified: lastModified };
}

async function openFile(
  tree: Tree,
  { path, name, location }: { path: string; name: string; location: string },
): Promise<ByteSource> {
  const file = await (await tree.file(path))?.getFile();
  if (file !== undefined) return blobSource(file, { name });
  throw new HubError({ code: 'STORAGE_FAILED', message: `${location}: ${name} has gone away` });
}

/** Through a second file, so that a closed tab leaves the old one whole. */
async function replaceSmall(tree: Tree, path: string, bytes: Uint8Array): Promise<void> {
  const fresh = `${path}.new`;
  await writeWhole((await tree.file(fresh, { create: true }))!, new Blob([bytes as BlobPart]));
  await moveFile(tree, fresh, path);
}

/** Pages without access handles have streams, which write a copy that `close` puts in place. */
async function writeWhole(handle: FileHandle, content: Blob): Promise<void> {
  if (handle.createSyncAccessHandle === undefined) {
    const stream = await handle.createWritable();
    await stream.write(content);
    await stream.close();
    return;
  }
  const access = await handle.createSyncAccessHandle();
  try {
    access.truncate(0);
    for (let offset = 0; offset < content.size; offset += copyBytes) {
      const piece = await content.slice(offset, offset + copyBytes).arrayBuffer();
      writeAll(access, new Uint8Array(piece), offset);
    }
    access.flush();
  } finally {
    access.close();
  }
}

const copyBytes = 4 * 1024 * 1024;

async function moveFile(tree: Tree, from: string, to: string): Promise<void> {
  const parts = to.split('/');
  const name = parts.at(-1)!;
  const parent = await tree.folder(parts.slice(0, -1).join('/'), { create: true });
  const handle = await tree.file(from);
  if (handle === undefined || parent === undefined) throw new Error(`${from} has gone away`);
  if (handle.move === undefined) {
    // Old browsers: a copy, which for a moment takes the room twice.
    await writeWhole((await tree.file(to, { create: true }))!, await handle.getFile());
    await tree.remove(from);
    return;
  }
  try {
    await handle.move(parent, name);
  } catch (error) {
    // Not every browser moves onto a file that is there.
    if ((await present(parent.getFileHandle(name))) === undefined) throw error;
    await parent.removeEntry(name);
    await handle.move(parent, name);
  }
}

async function openAppender(
  tree: Tree,
  { path, offset, location }: { path: string; offset: number; location: string },
): Promise<Appender> {
  const handle = await tree.file(path, { create: true });
  if (handle?.createSyncAccessHandle === undefined) {
    throw new HubError({
      code: 'STORAGE_UNAVAILABLE',
      message: `${location}: downloads need a dedicated Web Worker in this browser`,
      expected: 'FileSystemFileHandle.createSyncAccessHandle',
    });
  }
  const access = await handle.createSyncAccessHandle();
  let position = offset;
  try {
    access.truncate(offset);
  } catch (error) {
    access.close();
    throw error;
  }
  const attempt = <Result>(work: () => Result): Promise<Result> =>
    guard(location, async () => work());
  return {
    write: (bytes) =>
      attempt(() => {
        writeAll(access, bytes, position);
        position += bytes.length;
      }),
    flush: () =>
      attempt(() => {
        access.flush();
      }),
    restart: () =>
      attempt(() => {
        access.truncate(0);
        position = 0;
      }),
    async [Symbol.asyncDispose]() {
      access.close();
    },
  };
}

function writeAll(access: AccessHandle, bytes: Uint8Array, start: number): void {
  let written = 0;
  while (written < bytes.length) {
    const count = access.write(bytes.subarray(written), { at: start + written });
    // Browsers say so by a short count, or by QuotaExceededError.
    if (count === 0) throw new DOMException('the storage takes no more', 'QuotaExceededError');
    written += count;
  }
}

/** Errors of the platform as ours. */
async function guard<Result>(location: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof HubError) throw cause;
    const reason = cause instanceof Error || cause instanceof DOMException ? cause.message : '';
    const [code, what] = failures[nameOf(cause) ?? ''] ?? ['STORAGE_FAILED', 'it failed'];
    throw new HubError({ code, message: `${location}: ${what}: ${reason}`, cause });
  }
}

const failures: Readonly<
  Record<string, readonly ['STORAGE_FULL' | 'STORAGE_BUSY' | 'STORAGE_UNAVAILABLE', string]>
> = {
  QuotaExceededError: ['STORAGE_FULL', 'it is full'],
  NoModificationAllowedError: ['STORAGE_BUSY', 'another tab or worker uses this file'],
  SecurityError: ['STORAGE_UNAVAILABLE', 'this page may not use it'],
};

/** A lock of the browser, which a closed tab gives back by itself. */
async function webLock(
  { locks }: BrowserStorage,
  name: string,
  { wait, signal, onWait }: LockOptions,
): Promise<AsyncDisposable | undefined> {
  const immediate = await request(locks, name, { ifAvailable: true });
  if (immediate !== undefined || !wait) return immediate;
  onWait?.();
  try {
    return await request(locks, name, signal === undefined ? {} : { signal });
  } catch (error) {
    if (signal?.aborted === true) throw abortedError(name, signal);
    throw error;
  }
}

function request(
  locks: BrowserStorage['locks'],
  name: string,
  options: Parameters<LockManager['request']>[1] & object,
): Promise<AsyncDisposable | undefined> {
  return new Promise((resolve, reject) => {
    const held = locks.request(name, options, (lock) => {
      if (lock === null) {
        resolve(undefined);
        return undefined;
      }
      return new Promise<void>((release) => {
        resolve({
          async [Symbol.asyncDispose]() {
            release();
            await held.catch(() => undefined);
          },
        });
      });
    });
    held.catch(reject);
  });
}
