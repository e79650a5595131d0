/** web-rwkv's converters (formats.md 4.6): everything f16, v6's time_maa renamed, pairs transposed (v7: by the newer one). */
import type { RawDense } from '../fake-raw-file.js';
import type { DenseModel } from '../random-model.js';
import { reshaped, transposed } from './dense.js';
import { officialTensors } from './official.js';

function expanded(tensor: RawDense, model: DenseModel): RawDense {
  const { config } = model;
  if (config.version !== '5.1' || !/time_(?:decay|faaaa|first)$/.test(tensor.name)) return tensor;
  const { heads, headSize } = config;
  const values = new Float32Array(heads * headSize);
  for (let i = 0; i < values.length; i++) values[i] = tensor.values[Math.floor(i / headSize)]!;
  return { ...tensor, shape: [heads, headSize], values };
}

/** The last two dimensions of [5, D, C] swapped. */
function turned(tensor: RawDense): RawDense {
  if (tensor.shape.length === 2) return { ...tensor, ...transposed(tensor) };
  const [count, rows, columns] = tensor.shape as [number, number, number];
  const size = rows * columns;
  const values = new Float32Array(tensor.values.length);
  for (let index = 0; index < count; index++) {
    const part = reshaped(
      { shape: [], values: tensor.values.slice(index * size, (index + 1) * size) },
      [rows, columns],
    );
    values.set(transposed(part).values, index * size);
  }
  return { ...tensor, shape: [count, columns, rows], values };
}

export function webRwkvTensors(
  model: DenseModel,
  { converter = 'new' }: { converter?: 'old' | 'new' } = {},
): RawDense[] {
  const transposedNames =
    converter === 'new'
      ? /(?:time_mix_w[12]|time_decay_w[12]|\.[wagv][12])$/
      : /(?:time_mix_w[12]|time_decay_w[12])$/;
  return officialTensors(model).map((tensor) => {
    const wide = expanded(tensor, model);
    const name = wide.name.replace('time_faaaa', 'time_first').replace('time_maa', 'time_mix');
    const renamed: RawDense = { ...wide, name, format: 'f16' };
    return transposedNames.test(name) ? turned(renamed) : renamed;
  });
}
