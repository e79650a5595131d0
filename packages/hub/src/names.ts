export { HubError, type HubErrorCode } from './errors.js';
export {
  type ModelReference,
  type PathReference,
  parseReference,
  type RepositoryReference,
  type UrlReference,
} from './parse-reference.js';
export type { ModelCache, ResolveOptions } from './resolve-options.js';
export type { ResolvedModel } from './resolver.js';
