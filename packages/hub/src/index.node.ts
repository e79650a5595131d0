import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fileSource } from '@rwkv-ts/weights/node';
import { HubError } from './errors.js';
import { type Platform, createDownloader, createResolver } from './resolver.js';

export * from './names.js';
export { createFileCache as createModelCache } from './cache/file-cache.node.js';

const platform: Platform = {
  openFile: async (path) => {
    const local = localPath(path);
    if (!(await exists(local))) {
      throw new HubError({
        code: 'NOT_FOUND',
        message: `${local}: there is no such file`,
        got: local,
      });
    }
    return fileSource(local);
  },
  exists,
  besidePath: (path, fileName) => join(dirname(localPath(path)), fileName),
};

/**
 * Opens the model file that a reference (see `parseReference`) names. With `cache` it is downloaded there first, once, with
 * everything that belongs to it; without, it is read by ranges, and nothing is downloaded but what is read.
 * @throws HubError all codes; WeightsError `SOURCE_FAILED`, `CONTAINER_UNKNOWN` (a folder), `ABORTED`
 */
export const resolveModel = /* @__PURE__ */ createResolver(platform);

/**
 * Downloads what a reference names into `cache`, with everything that belongs to it, where it is not there yet.
 * @throws HubError all codes
 */
export const downloadModel = /* @__PURE__ */ createDownloader(platform);

function localPath(path: string): string {
  if (!/^file:/i.test(path)) return path;
  try {
    return fileURLToPath(path);
  } catch (cause) {
    throw new HubError({
      code: 'REFERENCE_INVALID',
      message: `${path} is no file URL`,
      got: path,
      cause,
    });
  }
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
