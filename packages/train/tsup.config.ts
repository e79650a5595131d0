import { definePackage } from '@rwkv-ts/tsconfig/tsup';

export default definePackage({ entry: { index: 'src/index.ts', node: 'src/node.ts' } });
