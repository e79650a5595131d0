import type {
  DownloadProgress,
  HubNotice,
  ModelCache,
  NetworkOptions,
} from './cache/model-cache.js';

export interface ResolveOptions {
  /** Default the global one. */
  readonly fetch?: typeof globalThis.fetch;
  /** An access token of the hub (`hf_…`), for private and gated repositories. Sent to the hub only. */
  readonly token?: string;
  readonly signal?: AbortSignal;
  /** Default https://huggingface.co; a mirror or a hub of one's own. */
  readonly hubUrl?: string;
  /** Milliseconds for the hub to answer a question; default 30000. Reading the model itself has no such limit. */
  readonly timeout?: number;
  /** Keeps remote files on this machine, whole and verified. Default: none, every range comes from the network. */
  readonly cache?: ModelCache;
  /** Take nothing from the network: only what the cache holds. */
  readonly offline?: boolean;
  /** The SHA-256 that the file of a URL must have, 64 hexadecimal digits. For files of the hub it is known. Needs `cache`. */
  readonly sha256?: string;
  /** Of downloads into `cache`. */
  readonly onProgress?: (progress: DownloadProgress) => void;
  /** Told what a person should know, though it works. */
  readonly onNotice?: (notice: HubNotice) => void;
  /** Patience with servers, of downloads into `cache` and of questions to the hub. */
  readonly network?: NetworkOptions;
}

export const defaultHubUrl = 'https://huggingface.co';
