/** Finds the addon, and the kernels that it gives to the device. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { BackendError } from '@rwkv-ts/backend';
import { findAddon, type FoundAddon } from '@rwkv-ts/native';
import { addon } from '../scripts/addon.mjs';
import type { NativeAddon } from './native.js';

/** @throws BackendError `DEVICE_UNAVAILABLE` */
export function findNative(): FoundAddon<NativeAddon> {
  return findAddon(addon, import.meta.url);
}

/** One folder up from src and from dist alike. */
const packageFolder = (): string =>
  dirname(createRequire(import.meta.url).resolve('../package.json'));

/**
 * The fatbins of native/kernels: code for every architecture, the same on every platform.
 * @throws BackendError `DEVICE_UNAVAILABLE` where they were not built
 */
export function readKernels(folder = join(packageFolder(), 'prebuilds/kernels')): Uint8Array[] {
  const names = existsSync(folder)
    ? readdirSync(folder).filter((name) => name.endsWith('.fatbin'))
    : [];
  if (names.length > 0) return names.sort().map((name) => readFileSync(join(folder, name)));
  throw new BackendError({
    code: 'DEVICE_UNAVAILABLE',
    message: [
      `The CUDA backend has no kernels in ${folder}.`,
      'What helps:',
      '- build them: install the CUDA toolkit (nvcc 12.8 or newer), then run `pnpm --filter @rwkv-ts/backend-cuda build:kernels`',
    ].join('\n'),
    expected: `*.fatbin in ${folder}`,
    got: 'none',
  });
}
