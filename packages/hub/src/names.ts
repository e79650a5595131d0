export type { CacheContext } from './cache/context.js';
export { createCacheOn } from './cache/create-cache.js';
export {
  type ContentHash,
  createPortableHash,
  type CreateHash,
  type HashAlgorithm,
  type Hasher,
  type HashRequest,
} from './cache/content-hash.js';
export type {
  CachedFile,
  CachedModel,
  CacheUsage,
  DownloadPhase,
  DownloadProgress,
  FetchFileOptions,
  HubNotice,
  ModelCache,
  NetworkOptions,
  RemoteFile,
  Verification,
  VerifyOptions,
} from './cache/model-cache.js';
export type {
  Appender,
  CacheStorage,
  FileFacts,
  LockOptions,
  StorageSpace,
} from './cache/storage.js';
export { HubError, type HubErrorCode } from './errors.js';
export {
  type ModelReference,
  type PathReference,
  parseReference,
  type RepositoryReference,
  type UrlReference,
} from './parse-reference.js';
export type { CacheOptions, CreateModelCache } from './cache/cache-options.js';
export type { ResolveOptions } from './resolve-options.js';
export type { DownloadModel, ResolvedModel, ResolveModel } from './resolver.js';
