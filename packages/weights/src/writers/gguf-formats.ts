/** Which tensor of a GGUF file gets which format: llama-quantize's rules for RWKV, from the tensors' names and shapes. */
import type { WeightFormat } from '@rwkv-ts/backend';
import { formatInfo } from '@rwkv-ts/formats';

/** One format for what may be quantised; the rest follows llama.cpp. Named as llama-quantize names them, in lower case. */
export type GgufPreset = WeightFormat;

/** By the tensor's GGUF name and row-major shape. */
export type GgufFormats = (name: string, shape: readonly number[]) => WeightFormat;

/** Kept in f32 by llama.cpp's converter, whatever the file's type. */
const keptWide = /\.time_mix_(?:first|w1|w2|decay_w1|decay_w2|lerp_fused)\.weight$/;
/** Small matrices that llama-quantize leaves as the converter wrote them: f16. */
const keptHalf = /\.time_mix_(?:[wva][012]|g[12])\.weight$/;

/** What llama-quantize takes instead, where a row is no multiple of 256. */
const narrower: Readonly<Partial<Record<WeightFormat, WeightFormat>>> = {
  q4_k: 'q5_0',
  q5_k: 'q5_1',
  q6_k: 'q8_0',
};

/** The format itself where rows are whole blocks, else a smaller block, else f16. */
export function fittingFormat(format: WeightFormat, shape: readonly number[]): WeightFormat {
  const width = shape.at(-1) ?? 1;
  if (width % formatInfo(format).blockSize === 0) return format;
  const next = narrower[format];
  return next === undefined ? 'f16' : fittingFormat(next, shape);
}

/**
 * A preset's choice for each tensor: vectors and norms f32; small low-rank matrices f32 or f16; the head q6_k in files of
 * less than 8 bits; all other matrices `preset`.
 */
export function ggufFormats(preset: GgufPreset): GgufFormats {
  const { blockSize } = formatInfo(preset);
  return (name, shape) => {
    const dimensions = shape.filter((size) => size > 1).length;
    if (preset === 'f32' || dimensions < 2 || name.includes('_norm') || keptWide.test(name))
      return 'f32';
    if (keptHalf.test(name)) return blockSize > 1 ? 'f16' : preset;
    const isHead = name === 'output.weight' && blockSize > 1 && preset !== 'q8_0';
    return fittingFormat(isHead ? 'q6_k' : preset, shape);
  };
}

/** llama.cpp's `general.file_type`: what most of the file's bytes are in. */
export const fileTypes: Readonly<Record<WeightFormat, number>> = {
  f32: 0,
  f16: 1,
  q4_0: 2,
  q4_1: 3,
  q8_0: 7,
  q5_0: 8,
  q5_1: 9,
  q4_k: 14,
  q5_k: 16,
  q6_k: 18,
  bf16: 32,
};
