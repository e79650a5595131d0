import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { InputError } from './failure.js';
import { checkOutput, writeWhole } from './output-file.js';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rwkv-cli-output-'));
  await mkdir(join(folder, 'inner'));
});
afterAll(() => rm(folder, { recursive: true }));

test('writes and replaces, and leaves nothing else', async () => {
  const path = join(folder, 'inner', 'file');
  await writeWhole(path, Buffer.from('one'));
  await writeWhole(path, Buffer.from('two'));
  expect(await readFile(path, 'utf8')).toBe('two');
  expect(await readdir(join(folder, 'inner'))).toEqual(['file']);
});

test('says before the work what will not go', async () => {
  await writeFile(join(folder, 'plain'), '');
  await expect(checkOutput(folder)).rejects.toThrow(/this is a folder/);
  await expect(checkOutput(join(folder, 'none', 'x'))).rejects.toThrow(InputError);
  await expect(checkOutput(join(folder, 'plain', 'x'))).rejects.toThrow(/no folder/);
  await expect(checkOutput(join(folder, 'plain'))).resolves.toBeUndefined();
  await expect(checkOutput('just-a-name')).resolves.toBeUndefined();
});
