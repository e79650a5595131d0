import { definePackage } from '@rwkv-ts/tsconfig/tsup';

export default definePackage({ platform: 'node' });
