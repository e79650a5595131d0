/** Output files: what can go wrong is said before the work, and no half file is ever left. */
import { access, constants, rm, rename, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { InputError } from './failure.js';

/** @throws InputError when nothing can be written there, told before the long work that leads to it */
export async function checkOutput(path: string): Promise<void> {
  const existing = await stat(path).catch(() => undefined);
  if (existing?.isDirectory())
    throw new InputError(`${path}: this is a folder; name a file in it.`);
  const folder = dirname(path);
  const parent = await stat(folder).catch(() => undefined);
  if (!parent?.isDirectory())
    throw new InputError(`${path}: there is no folder ${folder}; make it first.`);
  await access(folder, constants.W_OK).catch(() => {
    throw new InputError(`${path}: no permission to write in ${folder}.`);
  });
}

/** Whoever opens `path` sees the old file or the whole new one. */
export async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  await checkOutput(path);
  const temporary = `${path}.${process.pid}.part`;
  try {
    await writeFile(temporary, bytes);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
