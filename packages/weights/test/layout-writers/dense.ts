/** Naive array operations on dense tensors: index by index, so that they share no idea with the views they test. */
import type { Dense, DenseModel } from '../random-model.js';
import type { RawDense } from '../fake-raw-file.js';

export function get(model: DenseModel, name: string): Dense {
  const weight = model.weights.get(name);
  if (!weight) throw new TypeError(`The model has no ${name}.`);
  return weight;
}

export function reshaped({ values }: Dense, shape: readonly number[]): Dense {
  return { shape, values };
}

/** [a, b] to [b, a]. */
export function transposed({ shape, values }: Dense): Dense {
  const [rows, columns] = shape as [number, number];
  const result = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      result[column * rows + row] = values[row * columns + column]!;
    }
  }
  return { shape: [columns, rows], values: result };
}

/** Equal shapes under a new first dimension. */
export function stacked(parts: readonly Dense[]): Dense {
  return { shape: [parts.length, ...parts[0]!.shape], values: joinedValues(parts) };
}

/** Joined along the first dimension. */
export function joined(parts: readonly Dense[]): Dense {
  const rows = parts.reduce((sum, { shape }) => sum + shape[0]!, 0);
  return { shape: [rows, ...parts[0]!.shape.slice(1)], values: joinedValues(parts) };
}

function joinedValues(parts: readonly Dense[]): Float32Array {
  const result = new Float32Array(parts.reduce((sum, { values }) => sum + values.length, 0));
  let at = 0;
  for (const { values } of parts) {
    result.set(values, at);
    at += values.length;
  }
  return result;
}

export function mapped({ shape, values }: Dense, change: (value: number) => number): Dense {
  return { shape, values: values.map(change) };
}

export function raw(name: string, dense: Dense): RawDense {
  return { name, ...dense };
}

/** [1, 1, C], as official files keep their vectors. */
export function boxed(dense: Dense): Dense {
  return reshaped(dense, [1, 1, dense.values.length]);
}

/** Block index and rest of `blocks.i.rest`. */
export function blockOf(
  name: string,
): { readonly layer: number; readonly rest: string } | undefined {
  const match = /^blocks\.(\d+)\.(.+)$/.exec(name);
  return match ? { layer: Number(match[1]), rest: match[2]! } : undefined;
}
