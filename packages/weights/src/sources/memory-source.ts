import type { ByteSource, ReadOptions } from '../byte-source.js';
import { checkRange, throwIfAborted } from './checks.js';

export interface NamedOptions {
  /** Shown in errors. */
  readonly name?: string;
}

/** Bytes already in memory. `bytes` is not copied and must not change; what `read` returns is a copy. */
export function memorySource(
  bytes: Uint8Array,
  { name = 'memory' }: NamedOptions = {},
): ByteSource {
  const { length: size } = bytes;
  return {
    name,
    size,
    async read(offset: number, length: number, { signal }: ReadOptions = {}) {
      throwIfAborted(name, signal);
      checkRange({ name, size }, offset, length);
      // `slice` of a Node Buffer would not copy.
      return new Uint8Array(bytes.subarray(offset, offset + length));
    },
    async [Symbol.asyncDispose]() {},
  };
}
