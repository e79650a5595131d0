import type { ByteSource, ReadOptions } from '../byte-source.js';
import { WeightsError } from '../errors.js';
import { checkRange, throwIfAborted } from './checks.js';
import type { NamedOptions } from './memory-source.js';

/** A browser `File` or any `Blob`; the browser reads a file's slices from disk. A `File` brings its own name. */
export function blobSource(blob: Blob, { name = nameOf(blob) }: NamedOptions = {}): ByteSource {
  const { size } = blob;
  return {
    name,
    size,
    async read(offset: number, length: number, { signal }: ReadOptions = {}) {
      throwIfAborted(name, signal);
      checkRange({ name, size }, offset, length);
      const bytes = await bytesOf(blob.slice(offset, offset + length), name);
      throwIfAborted(name, signal);
      if (bytes.length !== length) {
        throw new WeightsError({
          code: 'SOURCE_FAILED',
          message: `${name}: ${length} bytes were asked for and ${bytes.length} came; the file changed while it was read`,
          expected: length,
          got: bytes.length,
        });
      }
      return bytes;
    },
    async [Symbol.asyncDispose]() {},
  };
}

function nameOf(blob: Blob): string {
  return 'name' in blob && typeof blob.name === 'string' && blob.name !== '' ? blob.name : 'blob';
}

async function bytesOf(slice: Blob, name: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await slice.arrayBuffer());
  } catch (cause) {
    throw new WeightsError({
      code: 'SOURCE_FAILED',
      message: `${name}: the browser could not read it; it may have been changed, moved or removed`,
      cause,
    });
  }
}
