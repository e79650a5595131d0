/** llama.cpp's converter (formats.md 4.4), shapes row-major. */
import type { MetadataValue } from '../../src/raw-file.js';
import type { RawDense } from '../fake-raw-file.js';
import type { Dense, DenseModel } from '../random-model.js';
import { blockOf, get, mapped, raw, reshaped, stacked } from './dense.js';

export interface GgufModel {
  readonly tensors: RawDense[];
  readonly metadata: Readonly<Record<string, MetadataValue>>;
}

const top: Readonly<Record<string, string>> = {
  'emb.weight': 'token_embd.weight',
  'blocks.0.ln0.weight': 'token_embd_norm.weight',
  'blocks.0.ln0.bias': 'token_embd_norm.bias',
  'ln_out.weight': 'output_norm.weight',
  'ln_out.bias': 'output_norm.bias',
  'head.weight': 'output.weight',
};

function sharedRest(rest: string): string | undefined {
  if (rest.startsWith('ln1.')) return rest.replace('ln1', 'attn_norm');
  if (rest.startsWith('ln2.')) return rest.replace('ln2', 'attn_norm_2');
  if (rest.startsWith('att.ln_x.')) return rest.replace('att.ln_x', 'time_mix_ln');
  const matrix = /^(att|ffn)\.(key|value|receptance|output|gate)\.weight$/.exec(rest);
  if (!matrix) return undefined;
  return `${matrix[1] === 'att' ? 'time_mix' : 'channel_mix'}_${matrix[2]!}.weight`;
}

/** [n, 1, 1, C] */
function fused(model: DenseModel, names: readonly string[]): Dense {
  return stacked(
    names.map((name) => reshaped(get(model, name), [1, 1, get(model, name).values.length])),
  );
}

const rests6: Readonly<Record<string, string>> = {
  'att.time_maa_x': 'time_mix_lerp_x.weight',
  'att.time_maa_w1.weight': 'time_mix_w1.weight',
  'att.time_decay': 'time_mix_decay.weight',
  'att.time_decay_w1.weight': 'time_mix_decay_w1.weight',
  'att.time_decay_w2.weight': 'time_mix_decay_w2.weight',
  'att.time_faaaa': 'time_mix_first.weight',
  'ffn.time_maa_k': 'channel_mix_lerp_k.weight',
  'ffn.time_maa_r': 'channel_mix_lerp_r.weight',
};

export function gguf6Model(
  model: DenseModel,
  { every = 6, fuse = true }: { every?: number; fuse?: boolean } = {},
): GgufModel {
  const { config } = model;
  if (config.version !== '6') throw new TypeError('An RWKV-6 model is wanted.');
  const mixes = ['w', 'k', 'v', 'r', 'g'];
  const tensors: RawDense[] = [];
  for (const [name, dense] of model.weights) {
    const block = blockOf(name);
    if (top[name] !== undefined || !block) {
      tensors.push(raw(top[name]!, dense));
      continue;
    }
    const { layer, rest } = block;
    const [blk, att] = [`blk.${layer}.`, `blocks.${layer}.att`];
    const renamed = sharedRest(rest) ?? rests6[rest];
    if (renamed !== undefined) {
      const isDivided = every > 0 && /^(?:att\.output|ffn\.value)\.weight$/.test(rest);
      const divisor = isDivided ? 2 ** Math.floor(layer / every) : 1;
      tensors.push(
        raw(
          blk + renamed,
          mapped(dense, (value) => value / divisor),
        ),
      );
    } else if (rest === 'att.time_maa_w') {
      const up = stacked(mixes.map((mix) => get(model, `${att}.time_maa_w2.${mix}.weight`)));
      tensors.push(raw(`${blk}time_mix_w2.weight`, up));
      if (fuse)
        tensors.push(
          raw(
            `${blk}time_mix_lerp_fused.weight`,
            fused(
              model,
              mixes.map((mix) => `${att}.time_maa_${mix}`),
            ),
          ),
        );
      else
        for (const mix of mixes)
          tensors.push(
            raw(`${blk}time_mix_lerp_${mix}.weight`, get(model, `${att}.time_maa_${mix}`)),
          );
    }
  }
  return {
    tensors,
    metadata: {
      'general.architecture': 'rwkv6',
      'rwkv6.block_count': config.layers,
      'rwkv6.attention.layer_norm_epsilon': Math.fround(config.normEpsilon),
      'rwkv6.wkv.head_size': config.headSize,
      'rwkv6.rescale_every_n_layers': every,
    },
  };
}

export function gguf7Model(model: DenseModel): GgufModel {
  const { config } = model;
  if (config.version !== '7') throw new TypeError('An RWKV-7 model is wanted.');
  const tensors: RawDense[] = [];
  for (const [name, dense] of model.weights) {
    const block = blockOf(name);
    if (top[name] !== undefined || !block) {
      tensors.push(raw(top[name]!, dense));
      continue;
    }
    const { layer, rest } = block;
    const blk = `blk.${layer}.`;
    const vector = /^att\.([wavg][012]|k_k|k_a)(?:\.weight)?$/.exec(rest);
    const renamed = sharedRest(rest);
    if (renamed !== undefined) tensors.push(raw(blk + renamed, dense));
    else if (rest === 'att.r_k')
      tensors.push(raw(`${blk}time_mix_r_k.weight`, reshaped(dense, [dense.values.length])));
    else if (rest === 'ffn.x_k') tensors.push(raw(`${blk}channel_mix_lerp_k.weight`, dense));
    else if (rest === 'att.x_r') {
      const names = ['r', 'w', 'k', 'v', 'a', 'g'].map((mix) => `blocks.${layer}.att.x_${mix}`);
      tensors.push(raw(`${blk}time_mix_lerp_fused.weight`, fused(model, names)));
    } else if (vector) {
      tensors.push(raw(`${blk}time_mix_${vector[1]!}.weight`, dense));
      // llama.cpp wants v0, v1 and v2 in layer 0 too, and gets copies of a0, a1 and a2.
      if (layer === 0 && vector[1]!.startsWith('a')) {
        tensors.push(raw(`${blk}time_mix_${vector[1]!.replace('a', 'v')}.weight`, dense));
      }
    }
  }
  return {
    tensors,
    metadata: {
      'general.architecture': 'rwkv7',
      'rwkv7.block_count': config.layers,
      'rwkv7.attention.layer_norm_epsilon': Math.fround(config.normEpsilon),
      'rwkv7.wkv.head_size': config.headSize,
    },
  };
}
