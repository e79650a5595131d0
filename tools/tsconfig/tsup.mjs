/**
 * The one bundler setting of the repository: ESM, types, source maps, nothing minified.
 * Packages pass their entries; everything from node_modules stays external.
 */
import { defineConfig } from 'tsup';

/** @param {{ entry?: Record<string, string>, platform?: 'node' | 'neutral', options?: import('tsup').Options }} [settings] */
export function definePackage({
  entry = { index: 'src/index.ts' },
  platform = 'neutral',
  options = {},
} = {}) {
  return defineConfig({
    entry,
    platform,
    format: ['esm'],
    target: 'es2022',
    // Handles are disposable: with this their types hold where an app's `lib` names no disposal, whatever its target.
    dts: { banner: '/// <reference lib="esnext.disposable" />' },
    sourcemap: true,
    clean: true,
    treeshake: true,
    outExtension: () => ({ js: '.js', dts: '.d.ts' }),
    ...options,
  });
}
