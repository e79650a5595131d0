/**
 * Builds the addon with node-gyp into prebuilds/<platform>/rwkv_cuda.node, where src/load-native.ts looks first. It needs no
 * CUDA toolkit: the driver is found at run time, and the kernels are files beside (scripts/build-kernels.mjs).
 *
 *   node scripts/build-native.mjs [--force] [--verbose] [--platform linux-arm64-gnu]
 */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildAddon, buildCommand } from '@rwkv-ts/native/scripts/build-addon.mjs';
import { addon } from './addon.mjs';

export const packageFolder = join(dirname(fileURLToPath(import.meta.url)), '..');

const build = {
  ...addon,
  packageFolder,
  sources: ['native/addon', 'native/driver', 'native/engine'],
};

/** Options and result are those of `buildAddon`. */
export function buildNative(options) {
  return buildAddon(build, options);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exit(buildCommand(build));
