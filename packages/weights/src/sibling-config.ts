/**
 * The config.json beside a Hugging Face model: it says what tensors cannot (epsilons, whether ln0 is already in the
 * embedding, tied heads). Looked for where a file may have one; a folder's config.json may also belong to anything else,
 * so only one that speaks of RWKV counts.
 */
import { shown } from './containers/failures.js';
import type { Siblings } from './containers/sharded.js';
import type { JsonObject } from './layouts/types.js';
import type { RawFile } from './raw-file.js';

/** Published ones are under 4 KiB. */
const largestConfig = 1 << 20;
const huggingFaceFile = /\.(?:safetensors|bin|json)$/i;

export interface SiblingConfig {
  readonly configJson?: JsonObject;
  /** Where there is one that could not be read: the model then goes by its tensors alone, and says so. */
  readonly note?: string;
}

/**
 * Nothing where there is none, and where it is another program's.
 * @throws WeightsError `ABORTED`
 */
export async function siblingConfig(
  file: RawFile,
  { siblings, signal }: { siblings: Siblings | undefined; signal: AbortSignal | undefined },
): Promise<SiblingConfig> {
  const name = file.name.replace(/[?#].*$/, '');
  if (!siblings || file.container === 'gguf' || !huggingFaceFile.test(name)) return {};
  try {
    await using source = await siblings('config.json');
    if (source.size > largestConfig) return {};
    const bytes = await source.read(0, source.size, signal ? { signal } : {});
    const config: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return isRwkv(config) ? { configJson: config } : {};
  } catch (error) {
    if (codeOf(error) === 'ABORTED') throw error;
    if (absent.has(codeOf(error))) return {};
    const reason = error instanceof Error ? error.message : String(error);
    return { note: `config.json was not used, only the tensors: ${shown(reason)}` };
  }
}

/** How a missing file is told by `@rwkv-ts/hub` (a server may refuse instead), and by Node. */
const absent: ReadonlySet<unknown> = new Set(['NOT_FOUND', 'ACCESS_DENIED', 'ENOENT']);

function codeOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
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
