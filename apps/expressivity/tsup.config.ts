import { definePackage } from '@rwkv-ts/tsconfig/tsup';

export default definePackage({
  entry: { main: 'src/main.ts' },
  platform: 'node',
  options: { dts: false, banner: { js: '#!/usr/bin/env node' } },
});
