/** `--tokenizer FILE|bytes|20b`, for every command that needs one. */
import { readFile } from 'node:fs/promises';
import { byteTokenizer, loadTokenizer, type Tokenizer } from '@rwkv-ts/tokenizer';
import { inFile } from './failure.js';
import { load20b } from './tokenizer-20b.js';

export async function openTokenizer(choice: string): Promise<Tokenizer> {
  if (choice === 'bytes') return byteTokenizer();
  if (choice === '20b') return load20b();
  return inFile(choice, async () => loadTokenizer(await readFile(choice)));
}
