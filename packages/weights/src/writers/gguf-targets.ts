/** llama.cpp's tensor names for the architectures rwkv6 and rwkv7 (gguf-py's tables). Shapes are row-major. */
import type { WeightSpec } from '@rwkv-ts/backend';
import {
  canonicalWeights,
  type RwkvConfig,
  type RwkvConfig6,
  type RwkvConfig7,
} from '@rwkv-ts/model';
import { type Target, unsupported } from './targets.js';

const top: Readonly<Record<string, string>> = {
  'emb.weight': 'token_embd.weight',
  'blocks.0.ln0.weight': 'token_embd_norm.weight',
  'blocks.0.ln0.bias': 'token_embd_norm.bias',
  'ln_out.weight': 'output_norm.weight',
  'ln_out.bias': 'output_norm.bias',
  'head.weight': 'output.weight',
};

function sharedName(rest: string): string | undefined {
  if (rest.startsWith('ln1.')) return rest.replace('ln1', 'attn_norm');
  if (rest.startsWith('ln2.')) return rest.replace('ln2', 'attn_norm_2');
  if (rest.startsWith('att.ln_x.')) return rest.replace('att.ln_x', 'time_mix_ln');
  const matrix = /^(att|ffn)\.(key|value|receptance|output|gate)\.weight$/.exec(rest);
  if (!matrix) return undefined;
  return `${matrix[1] === 'att' ? 'time_mix' : 'channel_mix'}_${matrix[2]!}.weight`;
}

const names6: Readonly<Record<string, string>> = {
  'att.time_maa_x': 'time_mix_lerp_x.weight',
  'att.time_maa_w1.weight': 'time_mix_w1.weight',
  'att.time_decay': 'time_mix_decay.weight',
  'att.time_decay_w1.weight': 'time_mix_decay_w1.weight',
  'att.time_decay_w2.weight': 'time_mix_decay_w2.weight',
  'att.time_faaaa': 'time_mix_first.weight',
  'ffn.time_maa_k': 'channel_mix_lerp_k.weight',
  'ffn.time_maa_r': 'channel_mix_lerp_r.weight',
};
const mixes6 = ['w', 'k', 'v', 'r', 'g'] as const;
const mixes7 = ['r', 'w', 'k', 'v', 'a', 'g'] as const;

interface Place {
  readonly att: string;
  readonly rest: string;
  readonly prefix: string;
}

function targets6({ name, shape }: WeightSpec, { att, rest, prefix }: Place): readonly Target[] {
  const renamed = sharedName(rest) ?? names6[rest];
  if (renamed !== undefined) return [{ name: prefix + renamed, shape, from: [name] }];
  if (rest === 'att.time_maa_w2.w.weight') {
    const from = mixes6.map((mix) => `${att}.time_maa_w2.${mix}.weight`);
    return [{ name: `${prefix}time_mix_w2.weight`, shape: [mixes6.length, ...shape], from }];
  }
  if (rest === 'att.time_maa_w') {
    const from = mixes6.map((mix) => `${att}.time_maa_${mix}`);
    return [
      {
        name: `${prefix}time_mix_lerp_fused.weight`,
        shape: [mixes6.length, 1, 1, shape[0]!],
        from,
      },
    ];
  }
  return [];
}

function targets7({ name, shape }: WeightSpec, { att, rest, prefix }: Place): readonly Target[] {
  const one = (renamed: string, newShape: readonly number[] = shape): Target => ({
    name: prefix + renamed,
    shape: newShape,
    from: [name],
  });
  const shared = sharedName(rest);
  if (shared !== undefined) return [one(shared)];
  if (rest === 'ffn.x_k') return [one('channel_mix_lerp_k.weight')];
  if (rest === 'att.r_k') return [one('time_mix_r_k.weight', [shape[0]! * shape[1]!])];
  if (rest === 'att.x_r') {
    const from = mixes7.map((mix) => `${att}.x_${mix}`);
    return [
      {
        name: `${prefix}time_mix_lerp_fused.weight`,
        shape: [mixes7.length, 1, 1, shape[0]!],
        from,
      },
    ];
  }
  const word = /^att\.([wavg][012]|k_k|k_a)(?:\.weight)?$/.exec(rest)?.[1];
  if (word === undefined) return [];
  // llama.cpp asks for v0, v1 and v2 in layer 0 too; its converter gives it copies of a0, a1 and a2.
  const isTwin = prefix === 'blk.0.' && /^a[012]$/.test(word);
  return [
    one(`time_mix_${word}.weight`),
    ...(isTwin ? [one(`time_mix_${word.replace('a', 'v')}.weight`)] : []),
  ];
}

export type GgufConfig = RwkvConfig6 | (RwkvConfig7 & { readonly version: '7' });

/** @throws WeightsError `WRITE_UNSUPPORTED` for models that llama.cpp has no architecture for */
export function expectGgufConfig(config: RwkvConfig): GgufConfig {
  if (config.version !== '6' && config.version !== '7') {
    unsupported(
      `GGUF has no architecture for RWKV-${config.version}: llama.cpp knows rwkv6 and rwkv7; write safetensors instead.`,
      { expected: ['6', '7'], got: config.version },
    );
  }
  if (config.embeddingNorm === 'folded') {
    unsupported(
      "GGUF needs ln0 (token_embd_norm), which this model's embedding has already gone through; write safetensors instead.",
      {
        expected: 'separate',
        got: 'folded',
      },
    );
  }
  if (config.version === '7' && config.layers < 2) {
    unsupported(
      'llama.cpp reads the rank of v1 from layer 1, which this model of one layer lacks; write safetensors instead.',
      {
        expected: 2,
        got: config.layers,
      },
    );
  }
  return config as GgufConfig;
}

export function ggufTargets(config: GgufConfig): readonly Target[] {
  return canonicalWeights(config).flatMap((spec) => {
    const renamed = top[spec.name];
    if (renamed !== undefined) return [{ name: renamed, shape: spec.shape, from: [spec.name] }];
    const [, layer, rest] = /^blocks\.(\d+)\.(.+)$/.exec(spec.name)!;
    const at = { att: `blocks.${layer!}.att`, rest: rest!, prefix: `blk.${layer!}.` };
    return config.version === '6' ? targets6(spec, at) : targets7(spec, at);
  });
}
