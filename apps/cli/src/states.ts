/** `--state-in` and `--state-out`: conversations as files. */
import { readFile } from 'node:fs/promises';
import type { Model, ModelState } from '@rwkv-ts/generate';
import { inFile } from './failure.js';
import { writeWhole } from './output-file.js';

export async function readState(
  model: Model,
  path: string | undefined,
): Promise<ModelState | undefined> {
  if (path === undefined) return undefined;
  return inFile(path, async () => model.loadState(await readFile(path)).state);
}

export async function writeState(
  model: Model,
  { path, state }: { path: string; state: ModelState },
): Promise<void> {
  await writeWhole(path, model.saveState(state));
}
