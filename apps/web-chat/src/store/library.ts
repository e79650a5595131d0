/** Conversations between visits, in IndexedDB: a list, and for each its file with the state. */
import { RwkvError } from '@rwkv-ts/backend';
import { type UseStore, clear, createStore, del, get, set, values } from 'idb-keyval';
import type { Kept } from './types.js';

/**
 * - `LIBRARY_FULL`: the disk, or this page's share of it, has no room.
 * - `LIBRARY_FAILED`: the browser refuses storage, or it broke; `cause` has the reason.
 * - `LIBRARY_MISSING`: the list has a conversation whose file is gone.
 */
export type LibraryErrorCode = 'LIBRARY_FULL' | 'LIBRARY_FAILED' | 'LIBRARY_MISSING';

export class LibraryError extends RwkvError<LibraryErrorCode> {}

/** Every method rejects with a `LibraryError`. */
export interface Library {
  list(fingerprint: string): Promise<readonly Kept[]>;
  put(kept: Kept, bytes: Uint8Array): Promise<void>;
  bytes(id: string): Promise<Uint8Array>;
  remove(id: string): Promise<void>;
  clear(): Promise<void>;
}

/** A library in this browser. The two stores are apart so that the list is read without the states. */
export function openLibrary(): Library {
  let stores: { index: UseStore; files: UseStore } | undefined;
  const open = (): { index: UseStore; files: UseStore } =>
    (stores ??= {
      index: createStore('rwkv-ts-chat-index', 'conversations'),
      files: createStore('rwkv-ts-chat-files', 'files'),
    });
  return {
    list: (fingerprint) =>
      told(async () => {
        const all = await values<Kept>(open().index);
        return all
          .filter((kept) => kept.fingerprint === fingerprint)
          .sort((left, right) => right.savedAt - left.savedAt);
      }),
    put: (kept, bytes) =>
      told(async () => {
        // The file first: an entry of the list always has one.
        await set(kept.id, bytes, open().files);
        await set(kept.id, kept, open().index);
      }),
    bytes: (id) =>
      told(async () => {
        const bytes = await get<Uint8Array>(id, open().files);
        if (bytes !== undefined) return bytes;
        throw new LibraryError({ code: 'LIBRARY_MISSING', message: `There is no file of ${id}` });
      }),
    remove: (id) =>
      told(async () => {
        await del(id, open().index);
        await del(id, open().files);
      }),
    clear: () =>
      told(async () => {
        await clear(open().index);
        await clear(open().files);
      }),
  };
}

async function told<Value>(work: () => Promise<Value>): Promise<Value> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof LibraryError) throw cause;
    const isFull = cause instanceof DOMException && cause.name === 'QuotaExceededError';
    const code = isFull ? 'LIBRARY_FULL' : 'LIBRARY_FAILED';
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new LibraryError({ code, message, cause });
  }
}
