import { definePackage } from '@rwkv-ts/tsconfig/tsup';

// The install script asks `load-native` alone whether an addon is already there.
export default definePackage({
  entry: { index: 'src/index.ts', 'load-native': 'src/load-native.ts' },
  platform: 'node',
});
