import type { ByteSource } from '@rwkv-ts/weights';
import type { CreateHash } from './content-hash.js';

/**
 * Where a cache keeps its files: a folder on disk, the origin private file system of a browser, or anything else that can
 * append, rename and lock. Paths are relative, with `/` between parts that are safe names everywhere; folders appear and
 * vanish by themselves.
 */
export interface CacheStorage {
  /** Shown to people. */
  readonly location: string;
  readonly createHash: CreateHash;
  /** Names of the files directly in a folder; none where there is no such folder. */
  list(folder: string): Promise<readonly string[]>;
  /** A whole small file; undefined where there is none. */
  read(path: string): Promise<Uint8Array | undefined>;
  /** Replaces a whole small file: whoever reads it sees the old or the new one. */
  write(path: string, bytes: Uint8Array): Promise<void>;
  facts(path: string): Promise<FileFacts | undefined>;
  /** For reading; the file exists. */
  open(path: string, name: string): Promise<ByteSource>;
  /** Creates the file where it is missing. What it holds beyond `offset` is cut off. */
  append(path: string, offset: number): Promise<Appender>;
  /** Replaces `to`, in one step. */
  move(from: string, to: string): Promise<void>;
  /** Removes a file, and the folders that become empty; nothing happens where there is none. */
  remove(path: string): Promise<void>;
  /**
   * Until the lock is given back nobody else holds it, in this process or another; a holder that dies loses it. Undefined
   * where another holds it and `wait` is false. `onWait` is called once if it has to wait.
   */
  lock(name: string, options: LockOptions): Promise<AsyncDisposable | undefined>;
  /** Bytes that may still be written, as far as the platform tells. */
  space(): Promise<StorageSpace>;
  /** Asks that the storage is not cleared under pressure. */
  persist(): Promise<boolean>;
  /** The path on this machine, where there is one. */
  localPath?(path: string): string;
}

export interface FileFacts {
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since 1970, as exact as the platform has them. */
  readonly modified: number;
}

export interface Appender extends AsyncDisposable {
  write(bytes: Uint8Array): Promise<void>;
  /** What was written so far survives a crash of the machine once this returns. */
  flush(): Promise<void>;
  /** Empties the file: the next write is at its start. */
  restart(): Promise<void>;
}

export interface LockOptions {
  readonly wait: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onWait?: (() => void) | undefined;
}

export interface StorageSpace {
  readonly free?: number;
  /** Most that this origin or disk may hold. */
  readonly quota?: number;
  /** Whether the platform promised not to clear the storage by itself. */
  readonly persisted: boolean;
}
