import { bytesFor } from '@rwkv-ts/formats';
import type { FormatName } from '@rwkv-ts/formats';

/** A tensor to be written. `bytes` are row-major and contiguous, in `format`. */
export interface TestTensor {
  readonly name: string;
  /** Row-major, slowest first. */
  readonly shape: readonly number[];
  readonly format: FormatName;
  readonly bytes: Uint8Array;
}

/** f32 from numbers. */
export function f32Tensor(
  name: string,
  shape: readonly number[],
  values: ArrayLike<number>,
): TestTensor {
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < values.length; i++) view.setFloat32(i * 4, values[i]!, true);
  return { name, shape, format: 'f32', bytes };
}

/** Any format, with bytes that differ from place to place and from tensor to tensor. */
export function patternTensor(
  name: string,
  shape: readonly number[],
  format: FormatName,
): TestTensor {
  const bytes = new Uint8Array(
    bytesFor(
      format,
      shape.reduce((product, dimension) => product * dimension, 1),
    ),
  );
  const seed = new TextEncoder().encode(name).reduce((sum, byte) => (sum * 31 + byte) & 0xff, 7);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (seed + i * 37 + (i >> 8)) & 0xff;
  return { name, shape, format, bytes };
}
