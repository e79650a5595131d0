/** flash-linear-attention's RWKV-6 and RWKV-7 (formats.md 4.3, C). */
import type { RawDense } from '../fake-raw-file.js';
import type { Dense, DenseModel } from '../random-model.js';
import { blockOf, boxed, get, joined, raw, reshaped, stacked, transposed } from './dense.js';

function topName(name: string): string | undefined {
  if (name === 'emb.weight') return 'model.embeddings.weight';
  if (name === 'head.weight') return 'lm_head.weight';
  return name.startsWith('ln_out.') ? name.replace('ln_out', 'model.norm') : undefined;
}

function sharedRest(rest: string): string | undefined {
  const norm = /^ln([012])\.(weight|bias)$/.exec(rest);
  if (norm) return `${['pre_norm', 'attn_norm', 'ffn_norm'][Number(norm[1])]!}.${norm[2]!}`;
  return rest.startsWith('att.ln_x.') ? rest.replace('att.ln_x', 'attn.g_norm') : undefined;
}

const letters: Readonly<Record<string, string>> = {
  receptance: 'r',
  key: 'k',
  value: 'v',
  output: 'o',
  gate: 'g',
};

export function fla7Tensors(
  model: DenseModel,
  { fused = false }: { fused?: boolean } = {},
): RawDense[] {
  const tensors: RawDense[] = [];
  for (const [name, dense] of model.weights) {
    const block = blockOf(name);
    if (!block || topName(name) !== undefined) {
      tensors.push(raw(topName(name)!, dense));
      continue;
    }
    const prefix = `model.layers.${block.layer}.`;
    const { rest } = block;
    const pair = /^att\.([wavg])([012])(?:\.weight)?$/.exec(rest);
    const projection = /^att\.(receptance|key|value|output)\.weight$/.exec(rest);
    if (sharedRest(rest) !== undefined) tensors.push(raw(prefix + sharedRest(rest)!, dense));
    else if (pair) {
      const part = ['2.bias', '0.weight', '2.weight'][Number(pair[2])]!;
      tensors.push(raw(`${prefix}attn.${pair[1]!}_lora.lora.${part}`, dense));
    } else if (projection) {
      tensors.push(raw(`${prefix}attn.${letters[projection[1]!]!}_proj.weight`, dense));
    } else if (fused && rest.startsWith('att.x_')) {
      if (rest !== 'att.x_r') continue;
      const mixes = ['r', 'w', 'k', 'v', 'a', 'g'].map((mix) =>
        boxedRow(get(model, name.replace(/x_r$/, `x_${mix}`))),
      );
      tensors.push(raw(`${prefix}attn.x_x`, stacked(mixes)));
    } else if (rest.startsWith('att.x_'))
      tensors.push(raw(prefix + rest.replace('att', 'attn'), boxed(dense)));
    else tensors.push(raw(prefix + rest.replace(/^att\./, 'attn.'), dense));
  }
  return tensors;
}

function boxedRow(dense: Dense): Dense {
  return reshaped(dense, [1, dense.values.length]);
}

const plain6: Readonly<Record<string, string>> = {
  'att.time_maa_x': 'attn.x_proj.0.mu',
  'att.time_decay': 'attn.w_proj.linear.lora.2.bias',
  'att.time_decay_w1.weight': 'attn.w_proj.linear.lora.0.weight',
  'att.time_decay_w2.weight': 'attn.w_proj.linear.lora.2.weight',
  'att.time_faaaa': 'attn.bonus',
  'att.output.weight': 'attn.o_proj.weight',
  'ffn.time_maa_k': 'ffn.key.mu',
  'ffn.key.weight': 'ffn.key.linear.weight',
  'ffn.time_maa_r': 'ffn.receptance.mu',
  'ffn.receptance.weight': 'ffn.receptance.linear.weight',
  'ffn.value.weight': 'ffn.value.weight',
};

/** Rows of group `index` of five. */
function group({ shape, values }: Dense, index: number): Dense {
  const [rows, columns] = shape as [number, number];
  const size = (rows / 5) * columns;
  return { shape: [rows / 5, columns], values: values.slice(index * size, (index + 1) * size) };
}

/** The data-dependent shift of one layer, in fla's group order r, w, k, v, g. */
function shift6(model: DenseModel, layer: number): RawDense[] {
  const att = `blocks.${layer}.att`;
  const prefix = `model.layers.${layer}.attn.`;
  const down = get(model, `${att}.time_maa_w1.weight`);
  // Official groups are w, k, v, r, g.
  const [w, k, v, r, g] = [0, 1, 2, 3, 4].map((index) => group(down, index)) as [
    Dense,
    Dense,
    Dense,
    Dense,
    Dense,
  ];
  const order = ['r', 'w', 'k', 'v', 'g'];
  const up = order.map((mix) => transposed(get(model, `${att}.time_maa_w2.${mix}.weight`)));
  return [
    raw(`${prefix}x_proj.0.linear.weight`, joined([r, w, k, v, g])),
    raw(`${prefix}x_proj.2.weight`, transposed(joined(up))),
    raw(`${prefix}x_bias`, stacked(order.map((mix) => get(model, `${att}.time_maa_${mix}`)))),
  ];
}

export function fla6Tensors(model: DenseModel): RawDense[] {
  const tensors: RawDense[] = [];
  for (const [name, dense] of model.weights) {
    const block = blockOf(name);
    if (!block || topName(name) !== undefined) {
      tensors.push(raw(topName(name)!, dense));
      continue;
    }
    const { layer, rest } = block;
    const prefix = `model.layers.${layer}.`;
    const projection = /^att\.(receptance|key|value|gate)\.weight$/.exec(rest);
    const renamed = sharedRest(rest) ?? plain6[rest];
    if (renamed !== undefined) tensors.push(raw(prefix + renamed, dense));
    else if (projection)
      tensors.push(raw(`${prefix}attn.${letters[projection[1]!]!}_proj.linear.weight`, dense));
    else if (rest === 'att.time_maa_w') tensors.push(...shift6(model, layer));
  }
  return tensors;
}
