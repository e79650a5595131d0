/** Typed arrays and the little-endian bytes of files. */
import type { HostWeight, Rows } from '@rwkv-ts/backend';
import { decode, encode } from '@rwkv-ts/formats';
import type { RawTensor } from '@rwkv-ts/weights';

/** Little-endian, in the rows' own precision. */
export function bytesOfRows(rows: Rows): Uint8Array {
  if (rows instanceof Float32Array) return encode('f32', rows);
  const bytes = new Uint8Array(8 * rows.length);
  const view = new DataView(bytes.buffer);
  for (const [index, value] of rows.entries()) view.setFloat64(8 * index, value, true);
  return bytes;
}

/** What `bytesOfRows` wrote, from a file. */
export async function readRows(tensor: RawTensor): Promise<Rows> {
  const bytes = await tensor.read();
  if (tensor.format !== 'f64') return decode(tensor.format, bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float64Array.from({ length: bytes.length / 8 }, (_, index) =>
    view.getFloat64(8 * index, true),
  );
}

export function f32Of(rows: Rows): Float32Array {
  return rows instanceof Float32Array ? rows : Float32Array.from(rows);
}

export function hostWeight(
  { name, shape }: Pick<HostWeight, 'name' | 'shape'>,
  values: Float32Array,
): HostWeight {
  return { name, shape, format: 'f32', bytes: encode('f32', values) };
}
