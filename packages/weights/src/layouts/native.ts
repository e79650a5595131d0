/** Layouts whose tensors keep their official names after a prefix or a word or two is replaced. */
import { WeightsError } from '../errors.js';
import type { RawFile } from '../raw-file.js';
import { type Rename, renameAll, splitBlock, wrapperPrefix } from './names.js';
import type { JsonObject, LayoutFacts, LayoutName, LayoutReading, Piece } from './types.js';
import { dropTrailingOnes, pick, reshape, viewOf } from './view.js';

/** Official .pth, or safetensors with the same names; wrappers of training frameworks are dropped. */
export function readOfficial(file: RawFile): LayoutReading {
  const prefix = wrapperPrefix(file.tensors.keys());
  return {
    layout: 'official',
    ...renameAll(file, (name) => (name.startsWith(prefix) ? name.slice(prefix.length) : undefined)),
    pairs: 'in-out',
    facts: {},
    notes: prefix === '' ? [] : [`The prefix ${prefix} of all names was dropped.`],
  };
}

const hfWords: readonly (readonly [RegExp, string])[] = [
  [/^(?:rwkv7?|model|transformer)\./, ''],
  [/^(?:emb|embeddings|embedding)\.weight$/, 'emb.weight'],
  [/^(?:lm_head|head)\.weight$/, 'head.weight'],
  [/^(?:ln_out|norm)\./, 'ln_out.'],
  [/^(?:blocks|layers)\./, 'blocks.'],
  [/^(blocks\.\d+\.)pre_(?:ln|norm)\./, '$1ln0.'],
  [/^(blocks\.\d+\.)(?:attention|attn|self_attn)\./, '$1att.'],
  [/^(blocks\.\d+\.)feed_forward\./, '$1ffn.'],
  [/\.time_mix_key$/, '.time_mix_k'],
  [/\.time_mix_value$/, '.time_mix_v'],
  [/\.time_mix_receptance$/, '.time_mix_r'],
  [/\.time_mix_gate$/, '.time_mix_g'],
  [/\.time_maa_key$/, '.time_maa_k'],
  [/\.time_maa_receptance$/, '.time_maa_r'],
];

/** The Hugging Face classes other than fla's: the same tensors under longer words, pairs untransposed. */
export function readHuggingFace(
  file: RawFile,
  {
    layout,
    configJson,
  }: { readonly layout: LayoutName; readonly configJson?: JsonObject | undefined },
): LayoutReading {
  const folded = configJson?.['embedding_layer_norm_fused'] === true;
  return {
    layout,
    ...renameAll(file, (name) =>
      hfWords.reduce((renamed, [pattern, word]) => renamed.replace(pattern, word), name),
    ),
    pairs: 'in-out',
    facts: folded ? { embeddingNorm: 'folded' } : {},
    notes: [],
  };
}

const mixes7 = ['r', 'w', 'k', 'v', 'a', 'g'] as const;

/** rwkv.cpp: official names; decays and bonuses of v4 and v5 already transformed, pairs transposed, v7 mixes in one tensor. */
export function readRwkvCpp(file: RawFile): LayoutReading {
  const names = [...file.tensors.keys()];
  const isV6 = names.some((name) => name.endsWith('.att.time_maa_x'));
  const isV7 = names.some((name) => name.endsWith('.att.x_rwkvag'));
  const isV5 = !isV6 && !isV7 && names.some((name) => name.endsWith('.att.ln_x.weight'));
  const rename: Rename = (name, tensor) => {
    const inBlock = splitBlock(name, 'blocks.');
    if (inBlock?.rest === 'att.x_rwkvag' && tensor.shape[0] === mixes7.length) {
      return mixes7.map((mix, index): Piece => ({
        name: `${inBlock.block}.att.x_${mix}`,
        parts: [pick(viewOf(tensor), index)],
      }));
    }
    if (inBlock && /^att\.time_(?:decay|first|faaaa)$/.test(inBlock.rest)) {
      const view = dropTrailingOnes(viewOf(tensor));
      // v6 keeps a decay per channel, only shaped by head.
      const flat =
        isV6 && inBlock.rest === 'att.time_decay'
          ? reshape(view, [view.shape.reduce((a, b) => a * b, 1)])
          : view;
      // v5.0's bonus went through exp when it was converted, so it is what later versions call time_faaaa.
      const renamed = isV5 ? name.replace('time_first', 'time_faaaa') : name;
      return [{ name: renamed, parts: [flat ?? view] }];
    }
    return name;
  };
  const layers = file.metadata.get('n_layer');
  const facts: LayoutFacts = {
    decayForm: 'applied',
    bonusForm: 'plain',
    ...(typeof layers === 'number' ? { layers } : {}),
  };
  const notes = isV5
    ? [
        'rwkv.cpp computes the per-head norm of v5 with eps 1e-5; the official 64e-5 is used here unless headNormEpsilon is overridden.',
      ]
    : [];
  return { layout: 'rwkv-cpp', ...renameAll(file, rename), pairs: 'out-in', facts, notes };
}

/** web-rwkv's converter: v6's time_maa is called time_mix, time_faaaa time_first; v4 files equal official ones. */
export function readWebRwkv(file: RawFile): LayoutReading {
  const prefix = wrapperPrefix(file.tensors.keys());
  const isV6 = [...file.tensors.keys()].some((name) => name.endsWith('.att.time_mix_x'));
  const hasLnX = [...file.tensors.keys()].some((name) => name.endsWith('.att.ln_x.weight'));
  const rename: Rename = (name) => {
    let renamed = name.slice(prefix.length);
    if (hasLnX) renamed = renamed.replace('.time_first', '.time_faaaa');
    return isV6 ? renamed.replace('.time_mix_', '.time_maa_') : renamed;
  };
  return {
    layout: 'web-rwkv-st',
    ...renameAll(file, rename),
    pairs: 'out-in',
    facts: {},
    notes: [],
  };
}

const pairName = /\.att\.([wavg])([12])$/;

/**
 * How a v7 file with official names stores its pairs. Non-square ones tell by shape; all must tell the same.
 * @returns undefined when every pair is square, or there is none
 * @throws WeightsError `TENSOR_SHAPE` when pairs contradict each other
 */
export function pairOrientation(file: RawFile): 'in-out' | 'out-in' | undefined {
  const prefix = wrapperPrefix(file.tensors.keys());
  const channels = file.tensors.get(`${prefix}emb.weight`)?.shape[1];
  let found: { readonly orientation: 'in-out' | 'out-in'; readonly by: string } | undefined;
  for (const [name, { shape }] of file.tensors) {
    const match = pairName.exec(name);
    if (!match || shape.length !== 2 || shape[0] === shape[1]) continue;
    const channelsFirst = shape[0] === channels;
    if (!channelsFirst && shape[1] !== channels) continue;
    const orientation = channelsFirst === (match[2] === '1') ? 'in-out' : 'out-in';
    if (found && found.orientation !== orientation) {
      throw new WeightsError({
        code: 'TENSOR_SHAPE',
        message: `${file.name}: ${name} [${shape.join(', ')}] is stored ${orientation}, but ${found.by} ${found.orientation}; a file stores all its low-rank pairs the same way.`,
        expected: found.orientation,
        got: orientation,
      });
    }
    found ??= { orientation, by: name };
  }
  return found?.orientation;
}
