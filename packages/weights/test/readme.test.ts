import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { officialPth } from './layout-writers/index.js';
import { randomModel, tinyConfig } from './random-model.js';
import { openModel } from '../src/index.js';
import { fileSource } from '../src/node.js';

it('the example of the README', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'rwkv-weights-'));
  const path = join(folder, 'rwkv7-g1-0.4b.pth');
  const expected = randomModel(tinyConfig('7'));
  await writeFile(path, officialPth(expected));
  const seen: string[] = [];
  {
    await using model = await openModel(await fileSource(path));
    expect(model).toMatchObject({ layout: 'official', config: expected.config });
    const claimed = new Set(['f32', 'f16', 'q8_0'] as const);
    for await (const weight of model.weights({ claimed })) seen.push(weight.name);
  }
  expect(seen.sort()).toEqual([...expected.weights.keys()].sort());
  await rm(folder, { recursive: true });
});
