import { mkdir } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

/**
 * The folder and those above it, where they are missing. Node's `mkdir` with `recursive` does the same, but tries for ever
 * where the system denies that a folder's parent exists, as below /proc.
 */
export async function makeFolder(path: string): Promise<void> {
  const folder = resolve(path);
  try {
    await makeOne(folder);
  } catch (error) {
    const parent = dirname(folder);
    if (!isCode(error, 'ENOENT') || parent === folder) throw error;
    await makeFolder(parent);
    await makeOne(folder);
  }
}

async function makeOne(folder: string): Promise<void> {
  try {
    await mkdir(folder);
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw error;
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
