import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { platformName } from './packages/native/scripts/platform.mjs';

// Workspace packages resolve to their sources, so tests need no build. TEST_BUILT=1 runs the same tests on `dist`.
const source = process.env['TEST_BUILT'] === '1' ? [] : ['@rwkv-ts/source'];

// Where no compiler could build an addon, its tests have nothing to run on. A job that has to test it sets CI=true.
const untested = (
  [
    ['backend-cpu', 'rwkv_cpu.node'],
    ['backend-cuda', 'rwkv_cuda.node'],
  ] as const
).flatMap(([name, file]) => {
  const addon = `packages/${name}/prebuilds/${platformName()}/${file}`;
  const isBuilt = existsSync(fileURLToPath(new URL(addon, import.meta.url)));
  if (process.env['CI'] === 'true' || isBuilt) return [];
  console.warn(`skipping packages/${name}/test: ${addon} is not built`);
  return [`packages/${name}/test/**`];
});

export default defineConfig({
  resolve: { conditions: [...source, 'node', 'import', 'module', 'default'] },
  ssr: {
    resolve: {
      conditions: [...source, 'node', 'import', 'module', 'default'],
      externalConditions: [...source, 'node', 'import'],
    },
    noExternal: [/^@rwkv-ts\//],
  },
  test: {
    include: ['{packages,apps,tools}/*/{src,conformance,test}/**/*.test.ts'],
    exclude: ['**/node_modules/**', ...untested],
    environment: 'node',
    testTimeout: 60_000,
    pool: 'forks',
  },
});
