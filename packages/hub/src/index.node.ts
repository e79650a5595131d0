import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fileSource } from '@rwkv-ts/weights/node';
import { HubError } from './errors.js';
import { createResolver } from './resolver.js';

export * from './names.js';

/**
 * Opens the model file that a reference (see `parseReference`) names, for reading by ranges. Nothing is downloaded but
 * what is read.
 * @throws HubError all codes; WeightsError `SOURCE_FAILED`, `ABORTED`
 */
export const resolveModel = createResolver({
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
  isFile: async (path) => (await stat(path).catch(() => undefined))?.isFile() === true,
  besidePath: (path, fileName) => join(dirname(localPath(path)), fileName),
});

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
