/** The names of flash-linear-attention's RWKV-6 and RWKV-7 classes, which its Hugging Face repositories use. */
import type { WeightSpec } from '@rwkv-ts/backend';
import { canonicalWeights, type RwkvConfig } from '@rwkv-ts/model';
import { concatenated, type Target, transposedValues, unsupported } from './targets.js';

const top: Readonly<Record<string, string>> = {
  'emb.weight': 'model.embeddings.weight',
  'head.weight': 'lm_head.weight',
  'ln_out.weight': 'model.norm.weight',
  'ln_out.bias': 'model.norm.bias',
};
const norms = ['pre_norm', 'attn_norm', 'ffn_norm'] as const;
const projections: Readonly<Record<string, string>> = {
  receptance: 'r',
  key: 'k',
  value: 'v',
  output: 'o',
  gate: 'g',
};
const loraParts = ['2.bias', '0.weight', '2.weight'] as const;

/** Norms and projections, which both versions have. `infix` stands between `_proj` and `.weight`. */
function sharedName(rest: string, infix: string): string | undefined {
  const norm = /^ln([012])\.(weight|bias)$/.exec(rest);
  if (norm) return `${norms[Number(norm[1])]!}.${norm[2]!}`;
  if (rest.startsWith('att.ln_x.')) return rest.replace('att.ln_x', 'attn.g_norm');
  const projection = /^att\.(receptance|key|value|output|gate)\.weight$/.exec(rest);
  if (!projection) return undefined;
  const letter = projections[projection[1]!]!;
  return `attn.${letter}_proj${letter === 'o' ? '' : infix}.weight`;
}

type BlockTargets = (
  spec: WeightSpec,
  at: { block: string; rest: string; prefix: string },
) => readonly Target[];

const block7: BlockTargets = ({ name, shape }, { rest, prefix }) => {
  const one = (renamed: string, newShape: readonly number[] = shape): readonly Target[] => [
    { name: prefix + renamed, shape: newShape, from: [name] },
  ];
  const shared = sharedName(rest, '');
  if (shared !== undefined) return one(shared);
  const pair = /^att\.([wavg])([012])(?:\.weight)?$/.exec(rest);
  if (pair) return one(`attn.${pair[1]!}_lora.lora.${loraParts[Number(pair[2])]!}`);
  if (rest.startsWith('att.x_')) return one(rest.replace('att', 'attn'), [1, 1, shape[0]!]);
  return one(rest.replace(/^att\./, 'attn.'));
};

const plain6: Readonly<Record<string, string>> = {
  'att.time_maa_x': 'attn.x_proj.0.mu',
  'att.time_decay': 'attn.w_proj.linear.lora.2.bias',
  'att.time_decay_w1.weight': 'attn.w_proj.linear.lora.0.weight',
  'att.time_decay_w2.weight': 'attn.w_proj.linear.lora.2.weight',
  'att.time_faaaa': 'attn.bonus',
  'ffn.time_maa_k': 'ffn.key.mu',
  'ffn.key.weight': 'ffn.key.linear.weight',
  'ffn.time_maa_r': 'ffn.receptance.mu',
  'ffn.receptance.weight': 'ffn.receptance.linear.weight',
  'ffn.value.weight': 'ffn.value.weight',
};
/** fla's order of the five groups; canonical order is w, k, v, r, g. */
const groups = ['r', 'w', 'k', 'v', 'g'] as const;
/** Where each of fla's groups stands in canonical order. */
const canonicalGroup = [3, 0, 1, 2, 4] as const;

const block6: BlockTargets = ({ name, shape }, { block, rest, prefix }) => {
  const renamed = sharedName(rest, '.linear') ?? plain6[rest];
  if (renamed !== undefined) return [{ name: prefix + renamed, shape, from: [name] }];
  const att = `${block}.att`;
  if (rest === 'att.time_maa_w1.weight') {
    const change = (values: Float32Array): Float32Array => {
      const size = values.length / groups.length;
      return concatenated(canonicalGroup.map((at) => values.subarray(at * size, (at + 1) * size)));
    };
    return [{ name: `${prefix}attn.x_proj.0.linear.weight`, shape, from: [name], change }];
  }
  if (rest === 'att.time_maa_w2.w.weight') {
    const [channels, rank] = shape as readonly [number, number];
    return [
      {
        name: `${prefix}attn.x_proj.2.weight`,
        shape: [channels, groups.length * rank],
        from: groups.map((mix) => `${att}.time_maa_w2.${mix}.weight`),
        change: transposedValues,
        join: (parts) => transposedValues(concatenated(parts), [groups.length * rank, channels]),
      },
    ];
  }
  if (rest === 'att.time_maa_w') {
    const from = groups.map((mix) => `${att}.time_maa_${mix}`);
    return [{ name: `${prefix}attn.x_bias`, shape: [groups.length, shape[0]!], from }];
  }
  return [];
};

/** @throws WeightsError `WRITE_UNSUPPORTED` for versions that fla has no class for */
export function flaTargets(config: RwkvConfig): readonly Target[] {
  if (config.version !== '6' && config.version !== '7') {
    return unsupported(
      `The fla layout exists for RWKV-6 and RWKV-7, not for RWKV-${config.version}; write the official layout.`,
      {
        expected: ['6', '7'],
        got: config.version,
      },
    );
  }
  const inBlock = config.version === '6' ? block6 : block7;
  return canonicalWeights(config).flatMap((spec) => {
    const match = /^(blocks\.(\d+))\.(.+)$/.exec(spec.name);
    if (!match) return [{ name: top[spec.name]!, shape: spec.shape, from: [spec.name] }];
    const [, block, layer, rest] = match;
    return inBlock(spec, { block: block!, rest: rest!, prefix: `model.layers.${layer!}.` });
  });
}
