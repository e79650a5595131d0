/**
 * What every container reader delivers: named tensors as they stand in the file, before any layout is recognised.
 * Opening reads only headers; tensor bytes are read when asked for.
 */
import type { FormatName } from '@rwkv-ts/formats';
import type { ReadOptions } from './byte-source.js';

export type Container = 'pth' | 'safetensors' | 'gguf' | 'rwkv.cpp';

export type MetadataValue = string | number | bigint | boolean | readonly MetadataValue[];

export interface RawTensor {
  readonly name: string;
  /** Row-major, slowest dimension first, whatever the container's own order. */
  readonly shape: readonly number[];
  readonly format: FormatName;
  /** Of the contiguous tensor: `bytesFor(format, product of shape)`. */
  readonly byteLength: number;
  /** Contiguous little-endian bytes, row-major; a strided storage is gathered. The array belongs to the caller. */
  read(options?: ReadOptions): Promise<Uint8Array>;
}

export interface RawFile extends AsyncDisposable {
  readonly container: Container;
  /** For errors: the name of the source, or of the first of several. */
  readonly name: string;
  /** In file order. */
  readonly tensors: ReadonlyMap<string, RawTensor>;
  /** GGUF key-values, safetensors `__metadata__`, rwkv.cpp header fields (`version`, `data_type`, …), pickled scalars. */
  readonly metadata: ReadonlyMap<string, MetadataValue>;
}
