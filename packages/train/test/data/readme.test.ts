/** The example of the README, run as it stands there in a folder of its own. */
import { createReadStream } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { byteTokenizer } from '@rwkv-ts/tokenizer';
import * as train from '@rwkv-ts/train';
import * as trainNode from '@rwkv-ts/train/node';
import { expect, it } from 'vitest';

interface Results {
  readonly data: train.TokenData;
  readonly tokens: Uint32Array;
  readonly targets: Uint32Array;
  readonly mask: Uint8Array;
  readonly position: string;
}

it('runs the example', async () => {
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
  const [, example] = /```ts\n(import \{ createReadStream[\s\S]*?)```/.exec(readme)!;
  const folder = await mkdtemp(join(tmpdir(), 'rwkv-train-readme-'));
  const body = example!
    .replace(/^import .* from 'node:fs';$/m, '')
    .replace(/^import \{ (.*) \} from '@rwkv-ts\/train';$/m, 'const { $1 } = train;')
    .replace(/^import \{ (.*) \} from '@rwkv-ts\/train\/node';$/m, 'const { $1 } = trainNode;')
    .replaceAll(' as const', '')
    .replaceAll('await using ', 'const ')
    .replaceAll(/'(book(?:\.txt)?)'/g, (_, name: string) => JSON.stringify(join(folder, name)));
  const AsyncFunction = (async () => undefined).constructor as new (
    ...source: string[]
  ) => (...values: unknown[]) => Promise<Results>;
  const run = new AsyncFunction(
    ...['train', 'trainNode', 'createReadStream', 'tokenizer'],
    `${body}; return { data, tokens, targets, mask, position };`,
  );
  try {
    await writeFile(join(folder, 'book.txt'), 'In the beginning. '.repeat(100));
    const results = await run(train, trainNode, createReadStream, byteTokenizer());
    expect(results.tokens).toHaveLength(512);
    expect([...results.targets.subarray(0, -1)]).toEqual([...results.tokens.subarray(1)]);
    expect(results.mask.includes(0)).toBe(false);
    expect(JSON.parse(results.position)).toMatchObject({ order: 'permuted', index: 1 });
    await results.data[Symbol.asyncDispose]();
  } finally {
    await rm(folder, { recursive: true });
  }
});
