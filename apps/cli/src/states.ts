/** `--state-in` and `--state-out`: conversations as files. */
import { readFile, writeFile } from 'node:fs/promises';
import type { Model, ModelState } from '@rwkv-ts/generate';

export async function readState(
  model: Model,
  path: string | undefined,
): Promise<ModelState | undefined> {
  if (path === undefined) return undefined;
  return model.loadState(await readFile(path)).state;
}

export async function writeState(
  model: Model,
  { path, state }: { path: string; state: ModelState },
): Promise<void> {
  await writeFile(path, model.saveState(state));
}
