/** Runs the example of the README on the made-up vocabulary. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileFunction } from 'node:vm';
import { expect, it } from 'vitest';
import { madeUpTokens, vocabularyText } from './vocabulary.js';
import * as tokenizerPackage from '../src/index.js';

it('runs the example of the README', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  const example = /```ts\n([\s\S]*?)```/.exec(readme)![1]!;
  const folder = await mkdtemp(join(tmpdir(), 'tokenizer-readme-'));
  try {
    const size = madeUpTokens().length + 1;
    await writeFile(join(folder, 'rwkv_vocab_v20230424.txt'), vocabularyText(madeUpTokens()));
    const body = example
      .replaceAll(/^import .*\n/gm, '')
      .replace('65536', String(size))
      .replaceAll(/'(rwkv_vocab_v20230424\.txt|world\.rwkvtok)'/g, (_, name: string) =>
        JSON.stringify(join(folder, name)),
      );
    const names = { ...tokenizerPackage, readFile, writeFile };
    // The example is TypeScript without type annotations, so it runs as it is.
    const run = compileFunction(
      `return (async () => {${body}; return text; })();`,
      Object.keys(names),
    ) as (...values: unknown[]) => Promise<string>;
    await expect(run(...Object.values(names))).resolves.toBe('User: 你好 🙂\n\nAssistant:');
    const written = tokenizerPackage.worldTokenizerFromBinary(
      await readFile(join(folder, 'world.rwkvtok')),
    );
    expect(written.vocabularySize).toBe(size);
  } finally {
    await rm(folder, { recursive: true });
  }
});
