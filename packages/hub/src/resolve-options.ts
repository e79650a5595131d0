import type { ByteSource } from '@rwkv-ts/weights';

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
  /** Keeps remote files on this machine. Default: none, every range comes from the network. */
  readonly cache?: ModelCache;
}

/** Stands between a remote file and who reads it. */
export interface ModelCache {
  /**
   * `url` names the file; a hub file's holds its commit, so what it stands for never changes. `download` opens it over the
   * network, and need not be called.
   */
  open(url: URL, download: () => Promise<ByteSource>): Promise<ByteSource>;
}

export const defaultHubUrl = 'https://huggingface.co';
