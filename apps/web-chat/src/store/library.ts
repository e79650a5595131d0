/** Conversations between visits, in IndexedDB: a list, and for each its file with the state. */
import { type UseStore, clear, createStore, del, get, set, values } from 'idb-keyval';
import type { Kept } from './types.js';

export interface Library {
  list(fingerprint: string): Promise<readonly Kept[]>;
  put(kept: Kept, bytes: Uint8Array): Promise<void>;
  bytes(id: string): Promise<Uint8Array | undefined>;
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
    async list(fingerprint) {
      const all = await values<Kept>(open().index);
      return all
        .filter((kept) => kept.fingerprint === fingerprint)
        .sort((left, right) => right.savedAt - left.savedAt);
    },
    async put(kept, bytes) {
      // The file first: an entry of the list always has one.
      await set(kept.id, bytes, open().files);
      await set(kept.id, kept, open().index);
    },
    bytes: (id) => get<Uint8Array>(id, open().files),
    async remove(id) {
      await del(id, open().index);
      await del(id, open().files);
    },
    async clear() {
      await clear(open().index);
      await clear(open().files);
    },
  };
}
