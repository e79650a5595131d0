/** `--tokenizer 20b`: the vocabulary comes with the npm package `rwkv-tokenizer-node`, an optional dependency. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { bpeTokenizer20b, type Tokenizer } from '@rwkv-ts/tokenizer';

const vocabularyFile = 'rwkv-tokenizer-node/20B_tokenizer.json';

export async function load20b(): Promise<Tokenizer> {
  let path: string;
  try {
    path = createRequire(import.meta.url).resolve(vocabularyFile);
  } catch {
    // Its error says which file to get and where.
    return bpeTokenizer20b();
  }
  return bpeTokenizer20b(await readFile(path, 'utf8'));
}
