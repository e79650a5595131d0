import type { ByteSource, ReadOptions } from '../byte-source.js';
import { RwkvError } from '@rwkv-ts/backend';
import { allocate, checkRange, throwIfAborted } from './checks.js';

export interface CacheOptions {
  /** Bytes per block: what a lone small read costs. */
  readonly blockBytes?: number;
  /** Blocks held at most. */
  readonly blocks?: number;
  /** The first bytes of the source, where they are at hand already; used when they fill a block. */
  readonly start?: Uint8Array;
}

/** Blocks fetched ahead at most, once reads run forward. */
const longestReadAhead = 16;

interface Cache {
  readonly source: ByteSource;
  readonly blockBytes: number;
  readonly capacity: number;
  /** In order of use, the least recently used first. */
  readonly held: Map<number, Promise<Uint8Array>>;
  /** The block after the last run fetched, and that run's length: the next run doubles when it starts right there. */
  ahead: { next: number; run: number };
}

/**
 * Puts a bounded block cache before a source where every read is slow (HTTP). Headers are hundreds of small reads close
 * together: they share blocks, and reads running forward fetch twice as far each time. A read of half the cache or more
 * (a large tensor) goes straight through: it displaces nothing, and is held once. Holds at most `blocks` × `blockBytes` (default 8 MiB). Disposing of it disposes of `source`.
 */
export function cachedSource(
  source: ByteSource,
  { blockBytes = 64 * 1024, blocks = 128, start }: CacheOptions = {},
): ByteSource {
  if (!(
    Number.isSafeInteger(blockBytes) &&
    blockBytes > 0 &&
    Number.isSafeInteger(blocks) &&
    blocks > 1
  )) {
    throw new TypeError('blockBytes is a positive integer, and blocks an integer of at least 2');
  }
  const cache: Cache = {
    source,
    blockBytes,
    capacity: blocks,
    held: new Map(),
    ahead: { next: -1, run: 0 },
  };
  if (start !== undefined && start.length === Math.min(blockBytes, source.size)) {
    cache.held.set(0, Promise.resolve(start));
  }
  return {
    name: source.name,
    size: source.size,
    async read(offset, length, options = {}) {
      throwIfAborted(source.name, options.signal);
      checkRange(source, offset, length);
      if (length === 0) return new Uint8Array(0);
      return length * 2 >= blockBytes * blocks
        ? source.read(offset, length, options)
        : readSmall(cache, offset, length, options);
    },
    async [Symbol.asyncDispose]() {
      cache.held.clear();
      await source[Symbol.asyncDispose]();
    },
  };
}

async function readSmall(
  cache: Cache,
  offset: number,
  length: number,
  options: ReadOptions,
): Promise<Uint8Array> {
  const { blockBytes } = cache;
  const first = Math.floor(offset / blockBytes);
  const last = Math.floor((offset + length - 1) / blockBytes);
  fetchMissing(cache, first, last, options);
  const result = allocate(cache.source.name, length);
  // All are taken before the first await: a concurrent read must not evict what this one is waiting for.
  const pending = Array.from({ length: last - first + 1 }, (_, i) => touch(cache, first + i));
  for (const [i, block] of pending.entries()) {
    const start = (first + i) * blockBytes;
    const from = Math.max(offset, start);
    const bytes = await orOwn(cache, block, start, options);
    const part = bytes.subarray(from - start, Math.min(offset + length - start, bytes.length));
    result.set(part, from - offset);
  }
  return result;
}

/** A block another reader asked for: if that reader gave up, read it anew for this one. */
async function orOwn(
  cache: Cache,
  block: Promise<Uint8Array>,
  start: number,
  options: ReadOptions,
): Promise<Uint8Array> {
  try {
    return await block;
  } catch (error) {
    throwIfAborted(cache.source.name, options.signal);
    if (!RwkvError.isInstance(error) || error.code !== 'ABORTED') throw error;
    return cache.source.read(start, Math.min(cache.blockBytes, cache.source.size - start), options);
  }
}

function touch(cache: Cache, block: number): Promise<Uint8Array> {
  const bytes = cache.held.get(block)!;
  cache.held.delete(block);
  cache.held.set(block, bytes);
  return bytes;
}

/** Starts one request for each run of blocks in [first, last] that is not held, the last one stretched by read-ahead. */
function fetchMissing(cache: Cache, first: number, last: number, options: ReadOptions): void {
  // Those at hand are marked as used first, so that making room for the missing ones does not evict them.
  for (let block = first; block <= last; block++)
    if (cache.held.has(block)) void touch(cache, block);
  let block = first;
  while (block <= last) {
    if (cache.held.has(block)) {
      block++;
      continue;
    }
    let end = block + 1;
    while (end <= last && !cache.held.has(end)) end++;
    if (end > last) end = stretch(cache, block, end);
    fetchRun(cache, block, end, options);
    block = end;
  }
}

function stretch(cache: Cache, start: number, end: number): number {
  const inSource = Math.ceil(cache.source.size / cache.blockBytes);
  const longest = Math.min(longestReadAhead, cache.capacity >> 1);
  const run = start === cache.ahead.next ? Math.min(cache.ahead.run * 2, longest) : 1;
  let stretched = end;
  while (stretched < Math.min(start + run, inSource) && !cache.held.has(stretched)) stretched++;
  cache.ahead = { next: stretched, run: stretched - start };
  return stretched;
}

function fetchRun(cache: Cache, first: number, end: number, options: ReadOptions): void {
  const { blockBytes, held, source } = cache;
  const start = first * blockBytes;
  const run = source.read(start, Math.min(end * blockBytes, source.size) - start, options);
  for (let block = first; block < end; block++) {
    const from = (block - first) * blockBytes;
    // Copied, so that an evicted neighbour's bytes are not kept alive.
    const bytes = run.then((all) => all.slice(from, from + blockBytes));
    held.set(block, bytes);
    bytes.catch(() => {
      if (held.get(block) === bytes) held.delete(block);
    });
  }
  for (const oldest of held.keys()) {
    if (held.size <= cache.capacity) break;
    held.delete(oldest);
  }
}
