import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { makeFolder } from './make-folder.js';

it('makes what is missing, and leaves what is there', async () => {
  const above = mkdtempSync(join(tmpdir(), 'rwkv-folder-'));
  const folder = join(above, 'a', 'b', 'c');
  await Promise.all([makeFolder(folder), makeFolder(join(above, 'a', 'd'))]);
  await makeFolder(folder);
  expect([folder, join(above, 'a', 'd')].every((each) => statSync(each).isDirectory())).toBe(true);
  rmSync(above, { recursive: true });
});

it.runIf(process.platform === 'linux')('ends where no folder can be made', async () => {
  await expect(makeFolder('/proc/none/below')).rejects.toThrow('ENOENT');
});
