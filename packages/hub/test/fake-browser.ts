/** The part of a browser's storage that the cache uses, in memory: files by path, access handles that exclude each other. */
import type { BrowserStorage } from '../src/cache/opfs-storage.js';

interface StoredFile {
  bytes: Uint8Array<ArrayBuffer>;
  modified: number;
  locked: boolean;
}

export interface FakeBrowser extends BrowserStorage {
  quota: number;
  /** Only workers have access handles. */
  inWorker: boolean;
  /** Browsers differ: onto existing files too, not onto them, or not at all. */
  moves: 'always' | 'to free names' | 'never';
  /** The user allows no storage. */
  denied: boolean;
  /** After so many bytes, writing stops, in one of the two ways that browsers have. */
  fail: { readonly after: number; readonly how: 'short write' | 'exception' } | undefined;
  used(): number;
  paths(): readonly string[];
  openHandles(): number;
  clear(): void;
  /** Changes a byte, and not the date. */
  damage(name: string): void;
}

export function fakeBrowser(): FakeBrowser {
  const files = new Map<string, StoredFile>();
  const folders = new Set<string>(['']);
  let clock = 1000;
  let open = 0;
  let persisted = false;
  const held = new Map<string, Promise<void>>();

  const missing = (): Promise<never> =>
    Promise.reject(new DOMException('there is none', 'NotFoundError'));

  function accessOf(file: StoredFile): unknown {
    if (file.locked) throw new DOMException('it is in use', 'NoModificationAllowedError');
    file.locked = true;
    open++;
    return {
      truncate: (size: number) => {
        const bytes = new Uint8Array(size);
        bytes.set(file.bytes.subarray(0, size));
        file.bytes = bytes;
      },
      write: (bytes: Uint8Array, { at }: { at: number }) => {
        let count = bytes.length;
        const { fail } = browser;
        if (fail !== undefined && at + count > fail.after) {
          if (fail.how === 'exception') throw new DOMException('full', 'QuotaExceededError');
          count = Math.max(0, fail.after - at);
        }
        const grown = new Uint8Array(Math.max(file.bytes.length, at + count));
        grown.set(file.bytes);
        grown.set(bytes.subarray(0, count), at);
        file.bytes = grown;
        file.modified = ++clock;
        return count;
      },
      flush: () => undefined,
      close: () => {
        file.locked = false;
        open--;
      },
    };
  }

  function fileHandle(path: string): unknown {
    const move = async (parent: { path: string }, name: string): Promise<unknown> => {
      const file = files.get(path);
      const target = join(parent.path, name);
      if (file === undefined) return missing();
      if (browser.moves === 'to free names' && files.has(target)) {
        throw new DOMException('there is one', 'InvalidModificationError');
      }
      files.delete(path);
      files.set(target, file);
      return undefined;
    };
    return {
      kind: 'file',
      getFile: async () => {
        const file = files.get(path);
        if (file === undefined) return missing();
        return new File([file.bytes], path, { lastModified: file.modified });
      },
      ...(browser.inWorker
        ? { createSyncAccessHandle: async () => accessOf(files.get(path)!) }
        : {}),
      createWritable: async () => ({
        write: async (content: Blob) => {
          const bytes = new Uint8Array(await content.arrayBuffer());
          files.set(path, { bytes, modified: ++clock, locked: false });
        },
        close: async () => undefined,
      }),
      ...(browser.moves === 'never' ? {} : { move }),
    };
  }

  function folderHandle(path: string): unknown {
    const inside = (one: string): boolean =>
      one.startsWith(`${path}/`) || (path === '' && one !== '');
    return {
      kind: 'directory',
      path,
      getDirectoryHandle: async (name: string, options?: { create?: boolean }) => {
        const child = join(path, name);
        if (options?.create === true) folders.add(child);
        return folders.has(child) ? folderHandle(child) : missing();
      },
      getFileHandle: async (name: string, options?: { create?: boolean }) => {
        const child = join(path, name);
        if (options?.create === true && !files.has(child)) {
          files.set(child, { bytes: new Uint8Array(0), modified: ++clock, locked: false });
        }
        return files.has(child) ? fileHandle(child) : missing();
      },
      removeEntry: async (name: string) => {
        const child = join(path, name);
        const isFull = [...files.keys(), ...folders].some((each) => each.startsWith(`${child}/`));
        if (isFull) throw new DOMException('it is not empty', 'InvalidModificationError');
        if (!files.delete(child) && !folders.delete(child)) await missing();
      },
      async *[Symbol.asyncIterator]() {
        const names = new Set([...files.keys(), ...folders].filter(inside));
        for (const each of names) {
          const name = each.slice(path === '' ? 0 : path.length + 1);
          if (!name.includes('/'))
            yield [name, files.has(each) ? fileHandle(each) : folderHandle(each)];
        }
      },
    };
  }

  const used = (): number => [...files.values()].reduce((sum, { bytes }) => sum + bytes.length, 0);
  const browser: FakeBrowser = {
    quota: 10e6,
    inWorker: true,
    moves: 'always',
    denied: false,
    fail: undefined,
    used,
    paths: () => [...files.keys()],
    openHandles: () => open,
    clear: () => {
      files.clear();
      folders.clear();
      folders.add('');
    },
    damage: (name) => {
      const [, file] = [...files].find(([path]) => path.endsWith(`/${name}`))!;
      file.bytes[10]! ^= 1;
    },
    storage: {
      getDirectory: async () => {
        if (browser.denied) throw new DOMException('not here', 'SecurityError');
        return folderHandle('') as FileSystemDirectoryHandle;
      },
      estimate: async () => ({ quota: browser.quota, usage: used() }),
      persisted: async () => persisted,
      persist: async () => {
        persisted = true;
        return true;
      },
    },
    locks: {
      request: (async (
        name: string,
        options: LockOptions,
        work: (lock: Lock | null) => Promise<unknown>,
      ) => {
        if (options.ifAvailable === true && held.has(name)) return work(null);
        while (held.has(name)) await held.get(name);
        const running = work({ name, mode: 'exclusive' });
        held.set(
          name,
          running.then(
            () => undefined,
            () => undefined,
          ),
        );
        try {
          return await running;
        } finally {
          held.delete(name);
        }
      }) as LockManager['request'],
    },
  };
  return browser;
}

function join(folder: string, name: string): string {
  return folder === '' ? name : `${folder}/${name}`;
}
