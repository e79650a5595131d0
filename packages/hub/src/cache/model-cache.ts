/** What a cache of models is for those who use it; `createModelCache` makes one. */
import type { ByteSource } from '@rwkv-ts/weights';
import type { ContentHash } from './content-hash.js';

/** A file on a server, and what is known of it beforehand. */
export interface RemoteFile {
  readonly url: URL;
  /** What people call the model that it belongs to: `owner/repository:file`, or a URL without its query. */
  readonly model: string;
  /** Folders and name in the cache; equal for equal files only. */
  readonly place: readonly string[];
  /** `id` of the file that the model is named by, where this is another file of it: a shard, a configuration. */
  readonly partOf?: string;
  /** Bytes, where known. */
  readonly size?: number;
  readonly hash?: ContentHash;
  /** Commit or other name of what the address stands for. Without one the server is asked whether the file changed. */
  readonly revision?: string;
}

export type DownloadPhase = 'wait' | 'check' | 'download';

export interface DownloadProgress {
  /**
   * `wait`: another process or tab is downloading this file. `check`: bytes that lie here already are hashed. `download`:
   * bytes are coming.
   */
  readonly phase: DownloadPhase;
  /** The file inside its repository, or the URL's last part. */
  readonly file: string;
  /** Bytes of the whole model that are here; of all shards, for a sharded one. */
  readonly done: number;
  /** Bytes of the whole model; 0 until the server said so. */
  readonly total: number;
}

/**
 * - `LAST_KNOWN_COMMIT`: the hub cannot be reached, and a branch or tag stands for the commit it was last seen at.
 * - `NOT_REVALIDATED`: the server of a URL cannot be reached, and the file is the one that was downloaded before.
 * - `REPAIRED`: a file in the cache was damaged, and is downloaded again.
 */
export interface HubNotice {
  readonly code: 'LAST_KNOWN_COMMIT' | 'NOT_REVALIDATED' | 'REPAIRED';
  readonly message: string;
}

export interface FetchFileOptions {
  /** Default the global one. */
  readonly fetch?: typeof globalThis.fetch;
  readonly signal?: AbortSignal;
  /** Bearer token for the origin `tokenOrigin`, and no other. */
  readonly token?: string;
  readonly tokenOrigin?: string;
  /** Take nothing from the network. */
  readonly offline?: boolean;
  /** Bytes of this file, not of its model. */
  readonly onProgress?: (progress: DownloadProgress) => void;
  readonly onNotice?: (notice: HubNotice) => void;
  readonly network?: NetworkOptions;
}

export interface NetworkOptions {
  /** Tries after a failure that may pass and with nothing gained meanwhile; default 4. */
  readonly retries?: number;
  /** Milliseconds before the first of them; doubles each time. Default 500. */
  readonly retryDelay?: number;
  /** Longest pause that a server may ask for (Retry-After), in milliseconds; a longer one is `RATE_LIMITED`. Default 60000. */
  readonly longestWait?: number;
  /** Milliseconds in which something must come; default 60000. */
  readonly stallTimeout?: number;
}

export interface CachedFile {
  readonly id: string;
  /** Path inside the repository, or the last part of the URL. */
  readonly name: string;
  /** Bytes; undefined while a server has not said. */
  readonly size?: number;
  /** Bytes that are here. */
  readonly received: number;
  /** `verified`: whole, and of the right hash. `partial`: a download that was stopped. `damaged`: changed since. */
  readonly state: 'verified' | 'partial' | 'damaged';
  readonly hash?: ContentHash;
  /** Commit it was last asked for at. */
  readonly revision?: string;
  /** When it became whole. */
  readonly savedAt?: Date;
  /** On this machine, in Node. */
  readonly path?: string;
}

/** The files that are one model: a file, or an index with its shards and configuration. */
export interface CachedModel {
  /** Names it in `verify` and `remove`. */
  readonly id: string;
  /** `owner/repository:file`, or a URL without its query. Two versions of a file have the same. */
  readonly name: string;
  /** What opens this very version, offline too: the name with its commit. A URL's query is not kept, and missing here. */
  readonly reference: string;
  readonly files: readonly CachedFile[];
  /** Bytes here. */
  readonly received: number;
  /** Bytes in all, of the files that are known. */
  readonly size: number;
  /** The worst of its files'. */
  readonly state: CachedFile['state'];
}

export interface Verification {
  readonly file: CachedFile;
  readonly intact: boolean;
}

export interface CacheUsage {
  /** Bytes that the models take. */
  readonly used: number;
  /** Bytes that can still be stored, where the platform tells. */
  readonly free?: number;
  /** Bytes that this origin (browsers) or disk (Node) can hold in all. */
  readonly quota?: number;
  /** Whether the browser promised not to clear the storage by itself; always true in Node. */
  readonly persisted: boolean;
}

export interface VerifyOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: DownloadProgress) => void;
}

/** Remote files on this machine, whole and verified. All methods may be called at any time, from several processes or tabs. */
export interface ModelCache {
  /** The folder, shown to people. */
  readonly location: string;
  /**
   * The file, after downloading what is missing of it. One that is verified is opened at once: its hash is computed again
   * only when its size or date are others than then.
   * @throws HubError
   */
  open(file: RemoteFile, options?: FetchFileOptions): Promise<ByteSource>;
  /** As `open`, without opening it. */
  download(file: RemoteFile, options?: FetchFileOptions): Promise<CachedFile>;
  /** Everything here, the models that were stopped half-way included; the latest first. */
  list(): Promise<readonly CachedModel[]>;
  /**
   * Computes the hashes of a model's files again. Damaged ones are downloaded anew when they are next asked for.
   * @param which `id` or `name` of a model
   */
  verify(which: string, options?: VerifyOptions): Promise<readonly Verification[]>;
  /**
   * Removes models by `id`, `name`, or `owner/repository`, finished or not. Returns the bytes freed; 0 where there is none.
   * @throws HubError `STORAGE_BUSY` while one of its files is being downloaded
   */
  remove(which: string): Promise<number>;
  /** Removes all models and everything remembered. Returns the bytes freed. @throws HubError `STORAGE_BUSY` */
  clear(): Promise<number>;
  usage(): Promise<CacheUsage>;
  /**
   * Asks the browser not to clear the storage by itself; it may ask the user. Whether it promised. Only pages can ask: in a
   * worker this tells what was promised before. True in Node.
   */
  persist(): Promise<boolean>;
  /** A JSON value that was remembered: what the hub answered, for the time when it does not. Undefined where there is none. */
  recall(key: string): Promise<unknown>;
  /** A help, not a promise: a storage that takes nothing is no error here. */
  remember(key: string, value: unknown): Promise<void>;
}
