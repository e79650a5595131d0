/** A container in memory: what a reader would deliver, without bytes of any container format. */
import type { WeightFormat } from '@rwkv-ts/backend';
import { decode, encode, type FormatName } from '@rwkv-ts/formats';
import type { Container, MetadataValue, RawFile, RawTensor } from '../src/raw-file.js';
import type { Dense } from './random-model.js';

/** A tensor as a layout stores it. */
export interface RawDense extends Dense {
  readonly name: string;
  /** Default f32. */
  readonly format?: WeightFormat;
  /** In a format that nothing encodes: stands in for `values`. */
  readonly raw?: { readonly format: FormatName; readonly bytes: Uint8Array };
}

export function rawTensor(
  name: string,
  { shape, format, bytes }: { shape: readonly number[]; format: FormatName; bytes: Uint8Array },
): RawTensor {
  return { name, shape, format, byteLength: bytes.length, read: async () => bytes.slice() };
}

export interface FakeInput {
  readonly container?: Container;
  readonly tensors: readonly RawDense[];
  readonly metadata?: Readonly<Record<string, MetadataValue>>;
  readonly name?: string;
}

export function fakeRawFile({
  container = 'pth',
  tensors,
  metadata = {},
  name = 'model.test',
}: FakeInput): RawFile & { readonly disposed: () => boolean } {
  let disposed = false;
  const map = new Map(
    tensors.map(({ name: tensorName, shape, values, format = 'f32', raw }) => [
      tensorName,
      rawTensor(tensorName, { shape, ...(raw ?? { format, bytes: encode(format, values) }) }),
    ]),
  );
  return {
    container,
    name,
    tensors: map,
    metadata: new Map(Object.entries(metadata)),
    disposed: () => disposed,
    [Symbol.asyncDispose]: async () => {
      disposed = true;
    },
  };
}

/** What a raw tensor holds, as numbers. */
export async function valuesOf(tensor: RawTensor): Promise<Float32Array> {
  return decode(tensor.format, await tensor.read());
}
