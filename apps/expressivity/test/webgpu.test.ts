/** Compiled automata on the WebGPU backend, where there is an adapter: as exact as on a processor. */
import { existsSync } from 'node:fs';
import { createWebGpuBackend } from '@rwkv-ts/backend-webgpu';
import { expect, test } from 'vitest';
import { create } from 'webgpu';
import { checkLanguage, compileLanguage } from '../src/check-language.js';
import { languages } from '../src/regular/languages.js';

// Mesa's software driver where it is installed, so that the same numbers come out everywhere.
const lavapipe = '/usr/share/vulkan/icd.d/lvp_icd.json';
if (process.env['RWKV_WEBGPU_ADAPTER'] !== 'system' && existsSync(lavapipe)) {
  process.env['VK_ICD_FILENAMES'] ??= lavapipe;
}
/** Exported, so that it is kept: Dawn ends with it. */
export const gpu = create([]);
const adapter = await gpu.requestAdapter();
if (!adapter) console.warn('skipping WebGPU: no adapter; on Debian install mesa-vulkan-drivers');

test.skipIf(!adapter)('the WebGPU backend', { timeout: 180_000 }, async () => {
  await using backend = await createWebGpuBackend({ adapter: adapter! });
  for (const name of [
    'contains abab',
    'S5: words of a swap and a 5-cycle that bring a point back',
  ]) {
    const built = compileLanguage(languages.find((language) => language.name === name)!);
    const options = { count: 40, longest: 60, seed: 11, tokens: 1024, sequences: 40 };
    const result = await checkLanguage(backend, built, options);
    expect(result, name).toMatchObject({ wrongStrings: 0, wrongPrefixes: 0, inexact: 0 });
    expect(result.acceptedStrings, name).toBeGreaterThan(0);
  }
});
