/** Computing the hash of a file that lies here. */
import type { ByteSource } from '@rwkv-ts/weights';
import { RwkvError } from '@rwkv-ts/backend';
import { HubError, abortedError, throwIfAborted } from '../errors.js';
import type { Hasher } from './content-hash.js';
import { type FileRecord, encodeRecord, recordPath } from './record.js';
import type { CacheStorage } from './storage.js';

const pieceBytes = 4 * 1024 * 1024;

export interface CheckOptions {
  readonly signal?: AbortSignal | undefined;
  /** Bytes of this file that were read. */
  readonly onProgress?: ((done: number) => void) | undefined;
}

/** Feeds the first `length` bytes to the hasher. */
export async function hashInto(
  hasher: Hasher,
  { source, length }: { source: ByteSource; length: number },
  { signal, onProgress }: CheckOptions,
): Promise<void> {
  try {
    for (let offset = 0; offset < length; offset += pieceBytes) {
      throwIfAborted(source.name, signal);
      const piece = await source.read(offset, Math.min(pieceBytes, length - offset));
      hasher.update(piece);
      onProgress?.(offset + piece.length);
    }
  } catch (cause) {
    if (signal?.aborted === true) throw abortedError(source.name, signal);
    if (!RwkvError.isInstance(cause) || cause.code === 'ABORTED') throw cause;
    throw new HubError({ code: 'STORAGE_FAILED', message: cause.message, cause });
  }
}

/**
 * Computes the hash of a file that was verified once, and writes down what came out: it counts as verified at its present
 * date, or as damaged.
 */
export async function checkFile(
  storage: CacheStorage,
  record: FileRecord,
  options: CheckOptions,
): Promise<FileRecord> {
  const facts = await storage.facts(record.path);
  let checked: FileRecord = { ...record, damaged: true };
  if (facts !== undefined && facts.size === record.size && record.hash !== undefined) {
    const hasher = storage.createHash({ algorithm: record.hash.algorithm, size: facts.size });
    await using source = await storage.open(record.path, record.name);
    await hashInto(hasher, { source, length: facts.size }, options);
    if (hasher.digest() === record.hash.value) {
      const at = record.verified?.at ?? Date.now();
      const verified = { modified: facts.modified, at };
      checked = { ...record, durable: facts.size, damaged: undefined, verified };
    }
  }
  await storage.write(recordPath(record.id), encodeRecord(checked));
  return checked;
}
