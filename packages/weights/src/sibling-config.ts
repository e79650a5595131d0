/**
 * The config.json beside a Hugging Face model: it says what tensors cannot (epsilons, whether ln0 is already in the
 * embedding, tied heads). Looked for where a file may have one; a folder's config.json may also belong to anything else,
 * so only one that speaks of RWKV counts.
 */
import { RwkvError } from '@rwkv-ts/backend';
import type { Siblings } from './containers/sharded.js';
import type { JsonObject } from './layouts/types.js';
import type { RawFile } from './raw-file.js';

/** Published ones are under 4 KiB. */
const largestConfig = 1 << 20;
const huggingFaceFile = /\.(?:safetensors|bin|json)$/i;

/**
 * @returns `undefined` where there is none, where it cannot be had or read, and where it is another program's: all of
 * these are as if the file stood alone.
 * @throws WeightsError `ABORTED`
 */
export async function siblingConfig(
  file: RawFile,
  { siblings, signal }: { siblings: Siblings | undefined; signal: AbortSignal | undefined },
): Promise<JsonObject | undefined> {
  const name = file.name.replace(/[?#].*$/, '');
  if (!siblings || file.container === 'gguf' || !huggingFaceFile.test(name)) return undefined;
  try {
    await using source = await siblings('config.json');
    if (source.size > largestConfig) return undefined;
    const bytes = await source.read(0, source.size, signal ? { signal } : {});
    const config: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return isRwkv(config) ? config : undefined;
  } catch (error) {
    if (RwkvError.isInstance(error) && error.code === 'ABORTED') throw error;
    return undefined;
  }
}

function isRwkv(config: unknown): config is JsonObject {
  if (typeof config !== 'object' || config === null || Array.isArray(config)) return false;
  const { architectures, model_type: type } = config as {
    architectures?: unknown;
    model_type?: unknown;
  };
  const names = [type, ...(Array.isArray(architectures) ? (architectures as unknown[]) : [])];
  return names.some((one) => typeof one === 'string' && /rwkv/i.test(one));
}
