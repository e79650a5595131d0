export * from './names.js';
export { createBrowserCache as createModelCache } from './cache/browser-cache.js';
import { createDownloader, createResolver } from './resolver.js';

/**
 * Opens the model file that a reference (see `parseReference`) names. With `cache` it is downloaded there first, once, with
 * everything that belongs to it; without, it is read by ranges, and nothing is downloaded but what is read.
 * @throws HubError all codes; WeightsError `SOURCE_FAILED`, `ABORTED`
 */
export const resolveModel = /* @__PURE__ */ createResolver({});

/**
 * Downloads what a reference names into `cache`, with everything that belongs to it, where it is not there yet.
 * @throws HubError all codes
 */
export const downloadModel = /* @__PURE__ */ createDownloader({});
