/** Weights written to a file and mapped from it, for the tests of packed files. */
import type { HostWeight } from '@rwkv-ts/backend';
import { buildProgram, type RwkvConfig } from '@rwkv-ts/model';
import type { CpuBackend } from '../src/index.js';
import { type Opened, openOn, usualLimits } from './subjects.js';

/** Uploads the weights of a model, writes them to the file, and frees them. */
export async function writeSubject(
  backend: CpuBackend,
  {
    path,
    config,
    weights: source,
  }: { path: string; config: RwkvConfig; weights: AsyncIterable<HostWeight> },
): Promise<void> {
  await using weights = await backend.upload(source, { program: buildProgram(config) });
  await backend.writePacked(weights, path, { metadata: { of: 'a test' } });
}

export async function openMapped(
  backend: CpuBackend,
  { config, path, slots = 8 }: { config: RwkvConfig; path: string; slots?: number },
): Promise<Opened> {
  const { weights } = await backend.openPacked(path);
  return openOn(backend, { config, weights, slots, limits: usualLimits });
}
