/** Whole model files: a layout's tensors in the container that the layout is found in. */
import { encode } from '@rwkv-ts/formats';
import type { MetadataValue } from '../../src/raw-file.js';
import type { RawDense } from '../fake-raw-file.js';
import type { DenseModel } from '../random-model.js';
import {
  type GgufValue,
  type TestTensor,
  writeGgufRaw,
  writePth,
  writeRwkvCppBin,
  writeSafetensorsRaw,
} from '../writers/index.js';
import type { GgufModel } from './gguf.js';
import { officialTensors } from './official.js';
import { rwkvCppTensors } from './rwkv-cpp.js';
import { webRwkvTensors } from './web-rwkv.js';

export function encoded(tensors: readonly RawDense[]): TestTensor[] {
  return tensors.map(({ name, shape, values, format = 'f32' }) => ({
    name,
    shape,
    format,
    bytes: encode(format, values),
  }));
}

export function officialPth(model: DenseModel): Uint8Array {
  return writePth({ tensors: encoded(officialTensors(model)) });
}

export function webRwkvSt(
  model: DenseModel,
  options: { converter?: 'old' | 'new' } = {},
): Uint8Array {
  return writeSafetensorsRaw({ tensors: encoded(webRwkvTensors(model, options)) });
}

export function rwkvCppBin(model: DenseModel): Uint8Array {
  const { vocabularySize, channels, layers } = model.config;
  return writeRwkvCppBin({
    tensors: encoded(rwkvCppTensors(model)),
    vocabulary: vocabularySize,
    width: channels,
    layers,
  });
}

function ggufValue(value: MetadataValue): GgufValue {
  if (typeof value === 'string') return { type: 'string', value };
  if (typeof value === 'number' && Number.isInteger(value)) return { type: 'u32', value };
  if (typeof value === 'number') return { type: 'f32', value };
  throw new TypeError(`No GGUF value for ${String(value)} here.`);
}

export function ggufFile({ tensors, metadata }: GgufModel): Uint8Array {
  const values = Object.entries(metadata).map(([key, value]) => [key, ggufValue(value)]);
  return writeGgufRaw({
    tensors: encoded(tensors),
    metadata: Object.fromEntries(values) as Record<string, GgufValue>,
  });
}
