import { defineConfig } from 'vitest/config';

// Workspace packages resolve to their sources, so tests need no build. TEST_BUILT=1 runs the same tests on `dist`.
const source = process.env['TEST_BUILT'] === '1' ? [] : ['@rwkv-ts/source'];

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
    environment: 'node',
    testTimeout: 60_000,
    pool: 'forks',
  },
});
