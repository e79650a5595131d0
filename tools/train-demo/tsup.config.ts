import { definePackage } from '@rwkv-ts/tsconfig/tsup';

export default definePackage({
  entry: { 'corpus-main': 'src/corpus-main.ts' },
  platform: 'node',
  options: { dts: false },
});
