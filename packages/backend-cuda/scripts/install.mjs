/** The package's install script; what it does is said in @rwkv-ts/native/scripts/install-addon.mjs. */
import { installAddon } from '@rwkv-ts/native/scripts/install-addon.mjs';
import { addon } from './addon.mjs';
import { packageFolder } from './build-native.mjs';

await installAddon({
  ...addon,
  packageFolder,
  load: async () => (await import('../dist/load-native.js')).findNative(),
  build: async () => (await import('./build-native.mjs')).buildNative(),
});
