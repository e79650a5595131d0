/** Which layout a file has: by container first, then by names, and by shapes where two layouts share their names. */
import { shownValue } from '../containers/failures.js';
import { WeightsError } from '../errors.js';
import type { RawFile } from '../raw-file.js';
import { readFla } from './fla.js';
import { readGguf6, readGguf7 } from './gguf.js';
import { wrapperPrefix } from './names.js';
import {
  pairOrientation,
  readHuggingFace,
  readOfficial,
  readRwkvCpp,
  readWebRwkv,
} from './native.js';
import { refuseByName } from './refusals.js';
import type { JsonObject, LayoutName, LayoutReading } from './types.js';

export interface DetectOptions {
  /** The parsed config.json beside the file; only used to recognise hybrids. */
  readonly configJson?: JsonObject | undefined;
}

/**
 * Names the layout of a file by what is in it.
 * @throws WeightsError `LAYOUT_REFUSED` for models that are known and not run, `LAYOUT_UNKNOWN` for all others,
 * `TENSOR_SHAPE` where low-rank pairs contradict each other
 */
export function detectLayout(file: RawFile, { configJson }: DetectOptions = {}): LayoutName {
  refuseByName(file, configJson);
  if (file.container === 'gguf') return detectGguf(file);
  if (file.container === 'rwkv.cpp') return 'rwkv-cpp';
  const names = [...file.tensors.keys()];
  const has = (pattern: RegExp): boolean => names.some((name) => pattern.test(name));
  // fla's other models have q_proj, k_proj, … in the same places; only RWKV's have r_proj.
  if (has(/^model\.layers\.\d+\.attn\.r_proj\./)) {
    return has(/^model\.layers\.\d+\.attn\.x_proj\./) ? 'fla-rwkv6' : 'fla-rwkv7';
  }
  if (file.tensors.has('rwkv7.emb.weight')) return 'transformers-rwkv7';
  if (file.tensors.has('rwkv7.embeddings.weight')) return 'rwkv-rs';
  if (file.tensors.has(`${wrapperPrefix(names)}emb.weight`)) return officialOrWebRwkv(file, has);
  if (has(/^(?:\w+\.)?embeddings\.weight$/)) {
    if (has(/\.r_k$/)) return 'smerkyg-rwkv7';
    if (has(/\.time_maa_/)) return 'hf-rwkv6';
    if (has(/\.ln_x\./)) return 'hf-rwkv5';
    if (has(/\.time_decay$/)) return 'hf-rwkv4';
  }
  unknown(file);
}

function detectGguf(file: RawFile): LayoutName {
  const architecture = file.metadata.get('general.architecture');
  if (architecture === 'rwkv6') return 'gguf-rwkv6';
  if (architecture === 'rwkv7') return 'gguf-rwkv7';
  throw new WeightsError({
    code: 'LAYOUT_UNKNOWN',
    message: `${file.name}: expected a GGUF file of architecture rwkv6 or rwkv7, got ${architecture === undefined ? 'none' : shownValue(architecture)}.`,
    expected: ['rwkv6', 'rwkv7'],
    got: architecture,
  });
}

function officialOrWebRwkv(file: RawFile, has: (pattern: RegExp) => boolean): LayoutName {
  if (file.container !== 'safetensors' || has(/\.time_(?:maa|faaaa)/)) return 'official';
  if (has(/\.att\.time_mix_x$/)) return 'web-rwkv-st';
  if (has(/\.att\.gate\.weight$/) && has(/\.att\.time_first$/)) {
    // Official v5.1 has one number per head here; web-rwkv expanded it and dropped the difference to time_faaaa.
    const first = [...file.tensors].find(([name]) => name.endsWith('.att.time_first'));
    const perChannel = first !== undefined && first[1].shape.filter((size) => size > 1).length > 1;
    return perChannel ? 'web-rwkv-st' : 'official';
  }
  if (!has(/\.att\.[wavg]1$/)) return 'official';
  const orientation = pairOrientation(file);
  if (orientation !== undefined) return orientation === 'out-in' ? 'web-rwkv-st' : 'official';
  return squarePairs(file);
}

/** Every pair is square. web-rwkv writes f16 only, so any other number format settles it. */
function squarePairs(file: RawFile): LayoutName {
  const written = file.metadata.get('rwkv.layout');
  const isF16 = [...file.tensors.values()].every(({ format }) => format === 'f16');
  if (written === 'official' || !isF16) return 'official';
  throw new WeightsError({
    code: 'LAYOUT_UNKNOWN',
    message: `${file.name}: all low-rank pairs are square, so the file may be official or web-rwkv's, which transposes them; pass \`layout: 'official'\` or \`layout: 'web-rwkv-st'\`.`,
    expected: ['official', 'web-rwkv-st'],
    got: 'square low-rank pairs',
  });
}

function unknown(file: RawFile): never {
  const names = [...file.tensors.keys()];
  throw new WeightsError({
    code: 'LAYOUT_UNKNOWN',
    message: `${file.name}: no RWKV layout has these tensor names: ${names.slice(0, 4).join(', ')}${names.length > 4 ? `, … (${names.length} in all)` : ''}.`,
    expected: 'tensor names of a known RWKV layout',
    got: names.slice(0, 4),
  });
}

/** Every tensor of the file as a view under its official name. */
export function readLayout(
  file: RawFile,
  {
    layout,
    configJson,
  }: { readonly layout: LayoutName; readonly configJson?: JsonObject | undefined },
): LayoutReading {
  switch (layout) {
    case 'official':
      return readOfficial(file);
    case 'web-rwkv-st':
      return readWebRwkv(file);
    case 'rwkv-cpp':
      return readRwkvCpp(file);
    case 'fla-rwkv6':
      return readFla(file, { version: '6', configJson });
    case 'fla-rwkv7':
      return readFla(file, { version: '7', configJson });
    case 'gguf-rwkv6':
      return readGguf6(file);
    case 'gguf-rwkv7':
      return readGguf7(file);
    case 'hf-rwkv4':
    case 'hf-rwkv5':
    case 'hf-rwkv6':
    case 'smerkyg-rwkv7':
    case 'transformers-rwkv7':
    case 'rwkv-rs':
      return readHuggingFace(file, { layout, configJson });
  }
}
