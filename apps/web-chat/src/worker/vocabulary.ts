/** The vocabulary of models whose file has none: the person's own, or the published one, fetched once and kept. */
import { GenerateError } from '@rwkv-ts/generate';
import { type ModelCache, type ResolveOptions, resolveModel } from '@rwkv-ts/hub';
import { type Tokenizer, byteTokenizer, loadTokenizer, tokenizerFor } from '@rwkv-ts/tokenizer';
import type { ModelFile } from '@rwkv-ts/weights';

const world = {
  url: 'https://raw.githubusercontent.com/BlinkDL/ChatRWKV/main/tokenizer/rwkv_vocab_v20230424.txt',
  sha256: 'e6dee3d4e31b4d5c40ac99508ac6c701ceef4bed681bf2167ce9a908552bca89',
};

export interface VocabularyOptions {
  readonly file: File | undefined;
  readonly cache: ModelCache | undefined;
  readonly network: Omit<ResolveOptions, 'cache'>;
}

/**
 * `auto` where the model file has its own.
 * @throws TokenizerError; GenerateError `TOKENIZER_REQUIRED` when the vocabulary cannot be had
 */
export async function tokenizerOf(
  { config, worldTokens }: Pick<ModelFile, 'config' | 'worldTokens'>,
  options: VocabularyOptions,
): Promise<Tokenizer | 'auto'> {
  if (options.file !== undefined) {
    return loadTokenizer(new Uint8Array(await options.file.arrayBuffer()));
  }
  if (worldTokens !== undefined) return 'auto';
  const kind = tokenizerFor(config.vocabularySize);
  if (kind === 'bytes') return byteTokenizer();
  if (kind === undefined) throw required(`of ${config.vocabularySize} tokens`);
  try {
    return await loadTokenizer(
      kind === '20b' ? await fetch20b(options) : await fetchWorld(options),
    );
  } catch (cause) {
    throw required(kind === 'world' ? 'rwkv_vocab_v20230424.txt' : '20B_tokenizer.json', cause);
  }
}

async function fetchWorld({ cache, network }: VocabularyOptions): Promise<Uint8Array> {
  if (cache === undefined) return await fetchBytes(world.url, network.signal);
  const { url, sha256 } = world;
  await using file = await resolveModel(url, { ...network, cache, sha256 });
  return await file.read(0, file.size);
}

/** Part of this page, and loaded when the first such model is. */
async function fetch20b({ network }: VocabularyOptions): Promise<Uint8Array> {
  const { default: url } = await import('rwkv-tokenizer-node/20B_tokenizer.json?url');
  return fetchBytes(url, network.signal);
}

export async function fetchBytes(
  url: string | URL,
  signal?: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(url, signal === undefined ? {} : { signal });
  if (!response.ok) throw new Error(`${String(url)}: the server answered ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

function required(name: string, cause?: unknown): GenerateError {
  return new GenerateError({
    code: 'TOKENIZER_REQUIRED',
    message: `The model file has no vocabulary, and ${name} could not be had; choose it as a file`,
    cause,
  });
}
