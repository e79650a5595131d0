import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { demoModel } from './index.js';

test('the asset is the file that the module describes', async () => {
  const bytes = await readFile(demoModel.url);
  expect(bytes.length).toBe(demoModel.size);
  expect(createHash('sha256').update(bytes).digest('hex')).toBe(demoModel.sha256);
});

test('it is a safetensors file with official RWKV-7 names', async () => {
  const bytes = await readFile(demoModel.url);
  const headerLength = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerLength)) as Record<
    string,
    { shape: number[] }
  >;
  expect(header['emb.weight']?.shape).toEqual([256, 128]);
  expect(header['blocks.3.att.r_k']?.shape).toEqual([2, 64]);
});
