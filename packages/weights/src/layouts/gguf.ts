/** llama.cpp's GGUF files of the architectures rwkv6 and rwkv7. Shapes here are row-major, so ggml's {C, 5D} is [5D, C]. */
import { shownValue } from '../containers/failures.js';
import { WeightsError } from '../errors.js';
import type { MetadataValue, RawFile } from '../raw-file.js';
import { entryOf, type Rename, renameAll, splitBlock } from './names.js';
import type { LayoutFacts, LayoutReading, Piece } from './types.js';
import { elementCount, pick, reshape, type TensorView, viewOf } from './view.js';

const top: Readonly<Record<string, string>> = {
  'token_embd.weight': 'emb.weight',
  'token_embd_norm.weight': 'blocks.0.ln0.weight',
  'token_embd_norm.bias': 'blocks.0.ln0.bias',
  'output_norm.weight': 'ln_out.weight',
  'output_norm.bias': 'ln_out.bias',
  'output.weight': 'head.weight',
};

const shared: Readonly<Record<string, string>> = {
  'attn_norm.weight': 'ln1.weight',
  'attn_norm.bias': 'ln1.bias',
  'attn_norm_2.weight': 'ln2.weight',
  'attn_norm_2.bias': 'ln2.bias',
  'time_mix_ln.weight': 'att.ln_x.weight',
  'time_mix_ln.bias': 'att.ln_x.bias',
  'time_mix_key.weight': 'att.key.weight',
  'time_mix_value.weight': 'att.value.weight',
  'time_mix_receptance.weight': 'att.receptance.weight',
  'time_mix_output.weight': 'att.output.weight',
  'channel_mix_key.weight': 'ffn.key.weight',
  'channel_mix_value.weight': 'ffn.value.weight',
};

const only6: Readonly<Record<string, string>> = {
  'time_mix_gate.weight': 'att.gate.weight',
  'time_mix_w1.weight': 'att.time_maa_w1',
  'time_mix_w2.weight': 'att.time_maa_w2',
  'time_mix_lerp_x.weight': 'att.time_maa_x',
  'time_mix_lerp_w.weight': 'att.time_maa_w',
  'time_mix_lerp_k.weight': 'att.time_maa_k',
  'time_mix_lerp_v.weight': 'att.time_maa_v',
  'time_mix_lerp_r.weight': 'att.time_maa_r',
  'time_mix_lerp_g.weight': 'att.time_maa_g',
  'time_mix_first.weight': 'att.time_faaaa',
  'time_mix_decay.weight': 'att.time_decay',
  'time_mix_decay_w1.weight': 'att.time_decay_w1',
  'time_mix_decay_w2.weight': 'att.time_decay_w2',
  'channel_mix_lerp_k.weight': 'ffn.time_maa_k',
  'channel_mix_lerp_r.weight': 'ffn.time_maa_r',
  'channel_mix_receptance.weight': 'ffn.receptance.weight',
};

function wholeNumber(file: RawFile, key: string): number | undefined {
  const value: MetadataValue | undefined = file.metadata.get(key);
  const number = typeof value === 'bigint' ? Number(value) : value;
  return typeof number === 'number' && Number.isSafeInteger(number) && number >= 0
    ? number
    : undefined;
}

function invalidMetadata(
  file: RawFile,
  { key, expected }: { key: string; expected: string },
): never {
  const got = file.metadata.get(key);
  throw new WeightsError({
    code: 'CONTAINER_INVALID',
    message: `${file.name}: the GGUF key ${key} must be ${expected}, got ${shownValue(got)}.`,
    expected,
    got,
  });
}

/** ggml keeps f32 numbers of seven digits; the eighth and later are noise of the conversion from decimal. */
function epsilon(file: RawFile, architecture: string): number | undefined {
  const value = file.metadata.get(`${architecture}.attention.layer_norm_epsilon`);
  return typeof value === 'number' && value > 0 && value < 1
    ? Number(value.toPrecision(7))
    : undefined;
}

function facts(file: RawFile, architecture: string): LayoutFacts {
  const layers = wholeNumber(file, `${architecture}.block_count`);
  const normEpsilon = epsilon(file, architecture);
  return {
    ...(layers === undefined ? {} : { layers }),
    ...(normEpsilon === undefined ? {} : { normEpsilon }),
  };
}

/** A fused tensor [names.length, 1, 1, C] as one vector per name. */
function fused(view: TensorView, names: readonly string[]): readonly Piece[] | undefined {
  if (view.shape[0] !== names.length) return undefined;
  return names.map((name, index) => ({ name, parts: [pick(view, index)] }));
}

const mixes6 = ['w', 'k', 'v', 'r', 'g'] as const;
const mixes7 = ['r', 'w', 'k', 'v', 'a', 'g'] as const;

/** att.output and ffn.value come divided by 2^(layer div rescale_every); that is undone, exactly. */
export function readGguf6(file: RawFile): LayoutReading {
  const key = 'rwkv6.rescale_every_n_layers';
  const every = file.metadata.has(key) ? wholeNumber(file, key) : 0;
  if (every === undefined) invalidMetadata(file, { key, expected: 'a whole number' });
  const rename: Rename = (name, tensor) => {
    const inBlock = splitBlock(name, 'blk.');
    if (!inBlock) return entryOf(top, name);
    const { block, rest } = inBlock;
    if (rest === 'time_mix_lerp_fused.weight') {
      return fused(
        viewOf(tensor),
        mixes6.map((mix) => `${block}.att.time_maa_${mix}`),
      );
    }
    const word = entryOf(shared, rest) ?? entryOf(only6, rest);
    if (word === undefined) return undefined;
    const official = `${block}.${word}`;
    const layer = Number(block.slice('blocks.'.length));
    if (every > 0 && layer >= every && /^(?:att\.output|ffn\.value)\.weight$/.test(word)) {
      return [{ name: official, parts: [viewOf(tensor)], exponent: Math.floor(layer / every) }];
    }
    return official;
  };
  return {
    layout: 'gguf-rwkv6',
    ...renameAll(file, rename),
    pairs: 'out-in',
    facts: facts(file, 'rwkv6'),
    notes:
      every > 0 ? [`The division of output matrices by 2 every ${every} layers was undone.`] : [],
  };
}

export function readGguf7(file: RawFile): LayoutReading {
  const rename: Rename = (name, tensor) => {
    const inBlock = splitBlock(name, 'blk.');
    if (!inBlock) return entryOf(top, name);
    const { block, rest } = inBlock;
    const common = entryOf(shared, rest);
    if (common !== undefined) return `${block}.${common}`;
    if (rest === 'time_mix_lerp_fused.weight') {
      return fused(
        viewOf(tensor),
        mixes7.map((mix) => `${block}.att.x_${mix}`),
      );
    }
    if (rest === 'channel_mix_lerp_k.weight') return `${block}.ffn.x_k`;
    if (rest === 'time_mix_r_k.weight') return [byHead(file, `${block}.att.r_k`, viewOf(tensor))];
    const word = /^time_mix_([wavg][012]|k_k|k_a)\.weight$/.exec(rest);
    return word ? `${block}.att.${word[1]}` : undefined;
  };
  return {
    layout: 'gguf-rwkv7',
    ...renameAll(file, rename),
    pairs: 'out-in',
    facts: facts(file, 'rwkv7'),
    notes: [],
  };
}

/** r_k is stored flat; the head size stands in the metadata only. */
function byHead(file: RawFile, name: string, view: TensorView): Piece {
  const key = 'rwkv7.wkv.head_size';
  const headSize = wholeNumber(file, key);
  const count = elementCount(view.shape);
  if (headSize === undefined || headSize === 0 || count % headSize !== 0) {
    invalidMetadata(file, { key, expected: `a divisor of the ${count} channels` });
  }
  return { name, parts: [reshape(view, [count / headSize, headSize]) ?? view] };
}
