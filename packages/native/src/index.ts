/** Node only: for backends whose engine is a native addon. */
export {
  buildTools,
  platformName,
  type PrebuiltPlatform,
  platforms,
} from '../scripts/platform.mjs';
export {
  type AddonDescription,
  type AddonHost,
  findAddon,
  type FoundAddon,
  platformPackage,
} from './find-addon.js';
export { Holding, Memory, type MemoryListener, nativeError } from './memory.js';
