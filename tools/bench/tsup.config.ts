import { definePackage } from '@rwkv-ts/tsconfig/tsup';

export default definePackage({
  entry: { cpu: 'src/cpu/main.ts' },
  platform: 'node',
  options: { dts: false },
});
