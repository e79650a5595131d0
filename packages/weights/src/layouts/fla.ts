/** flash-linear-attention's RWKV-6 and RWKV-7 classes: pairs as linear layers ([out, in]), RWKV-6's groups in another order. */
import type { RawFile } from '../raw-file.js';
import { entryOf, type Rename, renameAll, splitBlock } from './names.js';
import type { JsonObject, LayoutReading, Piece } from './types.js';
import { cut, pick, type TensorView, viewOf } from './view.js';

const top: Readonly<Record<string, string>> = {
  'model.embeddings.weight': 'emb.weight',
  'lm_head.weight': 'head.weight',
  'model.norm.weight': 'ln_out.weight',
  'model.norm.bias': 'ln_out.bias',
};

const norms: Readonly<Record<string, string>> = {
  pre_norm: 'ln0',
  attn_norm: 'ln1',
  ffn_norm: 'ln2',
};
const projections: Readonly<Record<string, string>> = {
  r: 'receptance',
  k: 'key',
  v: 'value',
  o: 'output',
  g: 'gate',
};

function renameShared(name: string): string | undefined {
  const inBlock = splitBlock(name, 'model.layers.');
  if (!inBlock) return entryOf(top, name);
  const { block, rest } = inBlock;
  const norm = /^(pre_norm|attn_norm|ffn_norm)\.(weight|bias)$/.exec(rest);
  if (norm) return `${block}.${norms[norm[1]!]}.${norm[2]}`;
  const headNorm = /^attn\.g_norm\.(weight|bias)$/.exec(rest);
  if (headNorm) return `${block}.att.ln_x.${headNorm[1]}`;
  const projection = /^attn\.([rkvog])_proj\.(?:linear\.)?weight$/.exec(rest);
  if (projection) return `${block}.att.${projections[projection[1]!]}.weight`;
  return undefined;
}

const mixes7 = ['r', 'w', 'k', 'v', 'a', 'g'] as const;
const loraParts: Readonly<Record<string, string>> = {
  '0.weight': '1',
  '2.weight': '2',
  '2.bias': '0',
};

const rename7: Rename = (name, tensor) => {
  const shared = renameShared(name);
  const inBlock = splitBlock(name, 'model.layers.');
  if (shared !== undefined || !inBlock) return shared;
  const { block, rest } = inBlock;
  if (rest === 'attn.x_x' && tensor.shape[0] === mixes7.length) {
    return mixes7.map((mix, index): Piece => ({
      name: `${block}.att.x_${mix}`,
      parts: [pick(viewOf(tensor), index)],
    }));
  }
  const lora = /^attn\.([wavg])_lora\.lora\.(0\.weight|2\.weight|2\.bias)$/.exec(rest);
  if (lora) return `${block}.att.${lora[1]}${loraParts[lora[2]!]}`;
  if (/^attn\.(?:x_[rwkvag]|k_k|k_a|r_k)$/.test(rest)) return `${block}.att.${rest.slice(5)}`;
  if (/^ffn\.(?:x_k|key\.weight|value\.weight)$/.test(rest)) return `${block}.${rest}`;
  return undefined;
};

/** fla's order of the five groups, and where official order (w, k, v, r, g) finds its own there. */
const flaGroups = ['r', 'w', 'k', 'v', 'g'] as const;
const officialGroups = ['w', 'k', 'v', 'r', 'g'] as const;

/** Columns of group `group`, of five equal ones: [C, 5D] to [C, D]. */
function columns(view: TensorView, group: number): TensorView {
  const width = Math.floor((view.shape[1] ?? 0) / flaGroups.length);
  return {
    ...view,
    offset: view.offset + group * width * (view.strides[1] ?? 1),
    shape: [view.shape[0] ?? 0, width],
  };
}

function rename6Mixes(block: string, rest: string, view: TensorView): readonly Piece[] | undefined {
  if (rest === 'attn.x_proj.0.linear.weight') {
    const rows = Math.floor((view.shape[0] ?? 0) / flaGroups.length);
    if (rows * flaGroups.length !== view.shape[0]) return undefined;
    const parts = officialGroups.map((mix) => cut(view, flaGroups.indexOf(mix) * rows, rows));
    return [{ name: `${block}.att.time_maa_w1`, parts }];
  }
  if (rest === 'attn.x_proj.2.weight' && (view.shape[1] ?? 0) % flaGroups.length === 0) {
    return flaGroups.map((mix, group) => ({
      name: `${block}.att.time_maa_w2.${mix}.weight`,
      parts: [columns(view, group)],
    }));
  }
  if (rest === 'attn.x_bias' && view.shape[0] === flaGroups.length) {
    return flaGroups.map((mix, group) => ({
      name: `${block}.att.time_maa_${mix}`,
      parts: [pick(view, group)],
    }));
  }
  return undefined;
}

const plain6: Readonly<Record<string, string>> = {
  'attn.x_proj.0.mu': 'att.time_maa_x',
  'attn.w_proj.linear.lora.0.weight': 'att.time_decay_w1',
  'attn.w_proj.linear.lora.2.weight': 'att.time_decay_w2',
  'attn.w_proj.linear.lora.2.bias': 'att.time_decay',
  'attn.bonus': 'att.time_faaaa',
  'ffn.key.mu': 'ffn.time_maa_k',
  'ffn.key.linear.weight': 'ffn.key.weight',
  'ffn.receptance.mu': 'ffn.time_maa_r',
  'ffn.receptance.linear.weight': 'ffn.receptance.weight',
  'ffn.value.weight': 'ffn.value.weight',
};

const rename6: Rename = (name, tensor) => {
  const shared = renameShared(name);
  const inBlock = splitBlock(name, 'model.layers.');
  if (shared !== undefined || !inBlock) return shared;
  const { block, rest } = inBlock;
  const plain = entryOf(plain6, rest);
  return plain === undefined ? rename6Mixes(block, rest, viewOf(tensor)) : `${block}.${plain}`;
};

export function readFla(
  file: RawFile,
  { version }: { readonly version: '6' | '7'; readonly configJson?: JsonObject | undefined },
): LayoutReading {
  return {
    layout: version === '6' ? 'fla-rwkv6' : 'fla-rwkv7',
    ...renameAll(file, version === '6' ? rename6 : rename7),
    pairs: 'out-in',
    facts: version === '7' ? { headNormEpsilonPerHeadSize: true } : {},
    notes: [],
  };
}
