/**
 * Builds the addon with node-gyp into prebuilds/<platform>/rwkv_cpu.node, where src/load-native.ts looks first.
 * Does nothing where that file was made of exactly these sources. Quiet unless it fails.
 *
 *   node scripts/build-native.mjs [--force] [--verbose] [--platform linux-arm64-gnu]
 *
 * `--platform` cross-compiles: give the compiler too, CXX=aarch64-linux-gnu-g++ for example. Without a compiler a build
 * prints one line and succeeds, because the rest of the repository works without it; with CI=true it fails.
 */
import { fileURLToPath } from 'node:url';
import {
  addonObjects as objectsOf,
  buildAddon,
  buildCommand,
} from '@rwkv-ts/native/scripts/build-addon.mjs';
import { addon } from './addon.mjs';
import {
  instructionSetFlags,
  instructionSets,
  packageFolder,
  sourceFolders,
} from './native-sources.mjs';

const build = {
  ...addon,
  packageFolder,
  sources: [...sourceFolders, 'native/instruction-set.gypi', 'scripts/native-sources.mjs'],
  refuse: ({ compiler, arch, compiles }) => {
    const unknown = Object.keys(instructionSets[arch] ?? {}).filter(
      (name) => !compiles(instructionSetFlags(name)),
    );
    return unknown.length === 0
      ? undefined
      : `${compiler} is too old for ${unknown.join(', ')}; g++ 11 and clang 14 know them`;
  },
};

/** Options and result are those of `buildAddon`. */
export function buildNative(options) {
  return buildAddon(build, options);
}

/** The object files of the engine and the kernels in this machine's addon, built now where they are not current. */
export function addonObjects() {
  return objectsOf(build, /native\/(?:engine|kernels|training)\/[^/]+\.o$/);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exit(buildCommand(build));
