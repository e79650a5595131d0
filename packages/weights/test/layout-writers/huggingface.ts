/** The Hugging Face classes that keep native tensors under longer names (formats.md 4.3, A, B, D, E, F). */
import type { RawDense } from '../fake-raw-file.js';
import type { DenseModel } from '../random-model.js';
import { officialTensors } from './official.js';

export type HuggingFaceLayout =
  'hf-rwkv4' | 'hf-rwkv5' | 'hf-rwkv6' | 'smerkyg-rwkv7' | 'transformers-rwkv7' | 'rwkv-rs';

const prefixes: Readonly<Record<HuggingFaceLayout, string>> = {
  'hf-rwkv4': 'rwkv.',
  'hf-rwkv5': 'rwkv.',
  'hf-rwkv6': 'rwkv.',
  'smerkyg-rwkv7': 'model.',
  'transformers-rwkv7': 'rwkv7.',
  'rwkv-rs': 'rwkv7.',
};

const mixWords: Readonly<Record<string, string>> = {
  k: 'key',
  v: 'value',
  r: 'receptance',
  g: 'gate',
};

function longName(name: string): string {
  return name
    .replace(/^emb\./, 'embeddings.')
    .replace('.ln0.', '.pre_ln.')
    .replace('.att.', '.attention.')
    .replace('.ffn.', '.feed_forward.')
    .replace(/time_mix_([kvrg])$/, (_, mix: string) => `time_mix_${mixWords[mix]!}`);
}

export function huggingFaceTensors(model: DenseModel, layout: HuggingFaceLayout): RawDense[] {
  const long = layout.startsWith('hf-');
  return officialTensors(model).map((tensor) => {
    if (tensor.name === 'head.weight') return tensor;
    const short =
      layout === 'transformers-rwkv7' ? tensor.name : tensor.name.replace(/^emb\./, 'embeddings.');
    return { ...tensor, name: prefixes[layout] + (long ? longName(tensor.name) : short) };
  });
}
