import { definePackage } from '@rwkv-ts/tsconfig/tsup';

export default definePackage({
  entry: {
    cpu: 'src/cpu/main.ts',
    cuda: 'src/cuda/main.ts',
    training: 'src/training/main.ts',
    webgpu: 'src/webgpu/main.ts',
  },
  platform: 'node',
  options: { dts: false },
});
