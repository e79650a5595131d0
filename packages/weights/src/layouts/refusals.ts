/** Files that are recognised and not run: hybrids, research variants, converted checkpoints, things that are no model. */
import { WeightsError } from '../errors.js';
import type { RawFile } from '../raw-file.js';
import { entryOf } from './names.js';
import type { JsonObject } from './types.js';

function refuse(file: RawFile, what: string, advice: string): never {
  throw new WeightsError({
    code: 'LAYOUT_REFUSED',
    message: `${file.name} holds ${what}. ${advice}`,
    expected: 'an RWKV v4, v5, v6, v7 or v7a model',
    got: what,
  });
}

interface Refusal {
  readonly pattern: RegExp;
  readonly what: string;
  readonly advice: string;
}

const byTensorName: readonly Refusal[] = [
  {
    pattern: /(?:^|\.)blocks\.\d+\.qkv\.qq\.weight$/,
    what: 'RWKV-7b (with DEA attention)',
    advice:
      'Its attention cache grows with every token, which this runtime does not have; use the v7 or v7a release of the model.',
  },
  {
    pattern: /(?:^|\.)blocks\.\d+\.ffn\.enn\.weight$/,
    what: 'RWKV-8 (a release candidate, Heron)',
    advice: 'Its formulas are not final and are not implemented; use a v7 model.',
  },
  {
    pattern: /\.self_attn\.time_mixer\./,
    what: 'ARWKV (RWKV-7 attention inside Qwen2)',
    advice: 'Hybrid models are not run here; use a pure RWKV model, or llama.cpp for this one.',
  },
  {
    pattern: /\.self_attn\.(?:time_maa|lora_|time_decay|x_proj)/,
    what: 'QRWKV6 (RWKV-6 attention inside Qwen2)',
    advice: 'Hybrid models are not run here; use a pure RWKV model, or llama.cpp for this one.',
  },
  {
    pattern: /^model\.layers\.\d+\.self_attn\.(?:[wa][012]|r_k|k_k|x_[rwkvag])$/,
    what: 'QRWKV7 (RWKV-7 attention inside Qwen)',
    advice: 'Hybrid models are not run here; use a pure RWKV model.',
  },
  {
    pattern: /\.weight_(?:mx|my|rx|ry)$|^_strategy$/,
    what: 'a checkpoint converted by ChatRWKV for one strategy',
    advice:
      'Its matrices are transposed, rescaled and perhaps quantised; use the original .pth that it was made from.',
  },
];

const byArchitecture: readonly Refusal[] = [
  {
    pattern: /^RwkvHybrid/i,
    what: 'ARWKV (RWKV-7 attention inside Qwen2)',
    advice: 'Hybrid models are not run here.',
  },
  {
    pattern: /^RWKV6Qwen/i,
    what: 'QRWKV6 (RWKV-6 attention inside Qwen2)',
    advice: 'Hybrid models are not run here.',
  },
  {
    pattern: /^RWKV\d*Qwen/i,
    what: 'QRWKV7 (RWKV-7 attention inside Qwen)',
    advice: 'Hybrid models are not run here.',
  },
];

const ggufArchitectures: Readonly<Record<string, string>> = {
  rwkv6qwen2: 'QRWKV6 (RWKV-6 attention inside Qwen2)',
  arwkv7: 'ARWKV (RWKV-7 attention inside Qwen2)',
};

function has(names: readonly string[], pattern: RegExp): boolean {
  return names.some((name) => pattern.test(name));
}

/** @throws WeightsError `LAYOUT_REFUSED`, `LAYOUT_UNKNOWN` */
export function refuseByName(file: RawFile, configJson?: JsonObject): void {
  const names = [...file.tensors.keys()];
  const architecture = file.metadata.get('general.architecture');
  const hybrid = entryOf(ggufArchitectures, String(architecture));
  if (hybrid !== undefined) {
    refuse(file, hybrid, 'Hybrid models are not run here; use llama.cpp for this one.');
  }
  for (const key of ['_strategy', '_version', '_rescale_layer']) {
    const rule = byTensorName.at(-1)!;
    if (file.metadata.has(key) || file.tensors.has(key)) refuse(file, rule.what, rule.advice);
  }
  for (const { pattern, what, advice } of byTensorName) {
    if (has(names, pattern)) refuse(file, what, advice);
  }
  if (has(names, /\.attn\.r_proj\./) && has(names, /\.attn\.q_proj\./)) {
    refuse(
      file,
      'a hybrid of RWKV layers and softmax attention (fla)',
      'Hybrid models are not run here; use a pure RWKV model.',
    );
  }
  const architectures = configJson?.['architectures'];
  for (const name of Array.isArray(architectures) ? architectures : []) {
    const rule = byArchitecture.find(({ pattern }) => pattern.test(String(name)));
    if (rule) refuse(file, rule.what, rule.advice);
  }
  refuseNonModels(file, names);
}

function refuseNonModels(file: RawFile, names: readonly string[]): void {
  if (names.length === 0) refuse(file, 'no tensors', 'Is the download complete?');
  if (names.every((name) => name.endsWith('.time_state'))) {
    refuse(
      file,
      'a tuned state, not a model',
      'Open the model it was tuned for, and this file with openStateFile.',
    );
  }
  const adapter = /\.(?:(?:init_)?lora_[AB](?:\.default)?(?:\.weight)?|lora\.[01]|disha|bone)$/;
  if (!has(names, adapter)) return;
  if (has(names, /(?:^|\.)(?:emb|embeddings|token_embd)\.weight$/)) {
    refuse(
      file,
      'a model and an adapter that is not merged into it',
      'Open the base model, and pass a file with the adapter alone in `adapters`.',
    );
  }
  refuse(file, 'an adapter, not a model', 'Open the base model and pass this file in `adapters`.');
}
