import { rm, stat } from 'node:fs/promises';
import { fileSink, fileSource } from '@rwkv-ts/weights/node';
import {
  type OpenTokensOptions,
  type TokenFilePair,
  type TokenFiles,
  openTokens,
} from './token-files.js';
import { type TokenSinkPair, type TokenWriter, createTokenWriter } from './token-writer.js';

/** What the pair of the mask is called: `name.mask.bin` and `name.mask.idx` beside `name.bin` and `name.idx`. */
const maskEnding = '.mask';

/** `name` of `name`, `name.bin` and `name.idx`, as all of RWKV-LM's tools call a pair. */
export function tokenFilesPrefix(path: string): string {
  return path.replace(/\.(?:bin|idx)$/, '');
}

/**
 * Opens `prefix.bin` and `prefix.idx` on disk, with `prefix.mask.bin` and `.idx` where they are.
 * @param path the prefix, or one of the two files
 * @throws what `openTokens` throws
 */
export async function openTokenFiles(
  path: string,
  options: Omit<OpenTokensOptions, 'mask'> = {},
): Promise<TokenFiles> {
  const prefix = tokenFilesPrefix(path);
  const pair = await openPair(prefix);
  let mask: TokenFilePair | undefined;
  try {
    if (await exists(`${prefix}${maskEnding}.idx`)) mask = await openPair(prefix + maskEnding);
  } catch (error) {
    await pair.tokens[Symbol.asyncDispose]();
    await pair.index[Symbol.asyncDispose]();
    throw error;
  }
  return openTokens(pair, { ...options, ...(mask === undefined ? {} : { mask }) });
}

/**
 * Writes `prefix.bin` and `prefix.idx`, and the pair of the mask where there is something to mask, beside their places;
 * `close` puts them there.
 * @throws WeightsError `SINK_FAILED`
 */
export async function createTokenFiles(
  prefix: string,
  { vocabularySize }: { readonly vocabularySize: number },
): Promise<TokenWriter> {
  const pair = await createPair(prefix);
  return createTokenWriter({
    ...pair,
    vocabularySize,
    openMask: () => createPair(prefix + maskEnding),
    removeMask: async () => {
      for (const ending of ['.idx', '.bin'])
        await rm(prefix + maskEnding + ending, { force: true });
    },
  });
}

async function openPair(prefix: string): Promise<TokenFilePair> {
  const tokens = await fileSource(`${prefix}.bin`);
  try {
    return { tokens, index: await fileSource(`${prefix}.idx`) };
  } catch (error) {
    await tokens[Symbol.asyncDispose]();
    throw error;
  }
}

async function createPair(prefix: string): Promise<TokenSinkPair> {
  const tokens = await fileSink(`${prefix}.bin`);
  try {
    return { tokens, index: await fileSink(`${prefix}.idx`) };
  } catch (error) {
    await tokens[Symbol.asyncDispose]();
    throw error;
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
