import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { ByteSource, ReadOptions } from '../byte-source.js';
import { WeightsError } from '../errors.js';
import { allocate, checkRange, disposedError, throwIfAborted } from './checks.js';

/** Bytes per system call: an abort takes effect between calls, and Linux reads less than 2 GiB at once anyway. */
const pieceBytes = 64 * 1024 * 1024;

/**
 * A file on disk (Node), by its path or `file:` URL. Stays open until disposed of; disposal waits for reads under way.
 * @throws WeightsError `SOURCE_FAILED` when it cannot be opened, `CONTAINER_UNKNOWN` when it is a directory or a device
 */
export async function fileSource(file: string | URL): Promise<ByteSource> {
  const path = typeof file === 'string' ? file : fileURLToPath(file);
  const handle = await open(path, 'r').catch((cause: unknown) => {
    throw failed(path, 'it cannot be opened', cause);
  });
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) throw notAFile(path, stat.isDirectory());
    return sourceOf({ handle, path, size: stat.size });
  } catch (error) {
    await handle.close();
    throw error;
  }
}

interface OpenFile {
  readonly handle: FileHandle;
  readonly path: string;
  readonly size: number;
}

function sourceOf({ handle, path, size }: OpenFile): ByteSource {
  let closing: Promise<void> | undefined;
  return {
    name: path,
    size,
    async read(offset: number, length: number, { signal }: ReadOptions = {}) {
      throwIfAborted(path, signal);
      checkRange({ name: path, size }, offset, length);
      if (closing !== undefined) throw disposedError(path);
      const bytes = allocate(path, length);
      let filled = 0;
      while (filled < length) {
        throwIfAborted(path, signal);
        const piece = Math.min(pieceBytes, length - filled);
        const { bytesRead } = await handle
          .read(bytes, filled, piece, offset + filled)
          .catch((cause: unknown) => {
            throw failed(path, 'reading failed', cause);
          });
        if (bytesRead === 0) throw shrunk(path, length, filled);
        filled += bytesRead;
      }
      return bytes;
    },
    [Symbol.asyncDispose]() {
      closing ??= handle.close();
      return closing;
    },
  };
}

function failed(path: string, what: string, cause: unknown): WeightsError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new WeightsError({ code: 'SOURCE_FAILED', message: `${path}: ${what}: ${reason}`, cause });
}

function shrunk(path: string, expected: number, got: number): WeightsError {
  return new WeightsError({
    code: 'SOURCE_FAILED',
    message: `${path}: ${expected} bytes were asked for and ${got} came; the file shrank while it was read`,
    expected,
    got,
  });
}

function notAFile(path: string, directory: boolean): WeightsError {
  return new WeightsError({
    code: 'CONTAINER_UNKNOWN',
    message: directory
      ? `${path} is a directory; give the model file itself, or the model.safetensors.index.json of a sharded model`
      : `${path} is not a regular file`,
    expected: 'a file',
    got: directory ? 'a directory' : 'a device, pipe or socket',
  });
}
