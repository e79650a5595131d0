import { RwkvError } from '@rwkv-ts/backend';
import type { ByteSource, ReadOptions } from '../byte-source.js';
import { cachedSource } from './cached-source.js';
import type { CacheOptions } from './cached-source.js';
import { allocate, checkRange, throwIfAborted } from './checks.js';
import { checkPart, firstAnswer } from './http-answer.js';
import type { Resource } from './http-answer.js';
import { backOff, httpFailure, request, unlessStalled } from './http-request.js';
import type { HttpRequestOptions } from './http-request.js';
import { memorySource } from './memory-source.js';

export interface HttpSourceOptions extends Partial<HttpRequestOptions> {
  /** Ends everything this source does, opening included. */
  readonly signal?: AbortSignal;
  /** The block cache before the network. */
  readonly cache?: CacheOptions;
}

/** A retry that brought this much counts as progress and does not use up a try. */
const progressBytes = 1024 * 1024;

/**
 * A file on an HTTP server, by Range requests. The first one, for the first block, learns the size and that the server
 * honours ranges. A server that answers 200 with everything instead is refused (`SOURCE_FAILED`), unless everything fits
 * into that first block. A file that changes meanwhile (another ETag, Last-Modified or size) is `SOURCE_FAILED`: the
 * validators are compared here rather than sent as If-Range, which would cost a browser a preflight that many servers
 * refuse. Network failures, silence, 408, 429 and 5xx are retried with growing pauses, and a body that broke off is
 * continued where it ended. Small reads share a bounded block cache; see `cachedSource`.
 * @throws WeightsError `SOURCE_FAILED`, `ABORTED`
 */
export async function httpSource(
  url: string | URL,
  {
    fetch = globalThis.fetch.bind(globalThis),
    headers = {},
    retries = 4,
    retryDelay = 500,
    stallTimeout = 60_000,
    signal,
    cache = {},
  }: HttpSourceOptions = {},
): Promise<ByteSource> {
  if (!(Number.isSafeInteger(retries) && retries >= 0)) {
    throw new TypeError(`retries is a non-negative integer, not ${retries}`);
  }
  if (!(stallTimeout > 0)) {
    throw new TypeError(`stallTimeout is a positive number of milliseconds, not ${stallTimeout}`);
  }
  const options: HttpRequestOptions = { fetch, headers, retries, retryDelay, stallTimeout };
  const name = String(url);
  const blockBytes = cache.blockBytes ?? 64 * 1024;
  const first = await firstAnswer({ name, options, blockBytes, signal });
  if (first.whole !== undefined) return memorySource(first.whole, { name });
  const direct = directSource({ resource: first.resource, options, signal });
  return cachedSource(direct, { ...cache, blockBytes, start: first.start });
}

interface DirectSource {
  readonly resource: Resource;
  readonly options: HttpRequestOptions;
  readonly signal: AbortSignal | undefined;
}

function directSource({ resource, options, signal }: DirectSource): ByteSource {
  const { name, size } = resource;
  const disposal = new AbortController();
  return {
    name,
    size,
    async read(offset: number, length: number, readOptions: ReadOptions = {}) {
      const signals = [disposal.signal, signal, readOptions.signal].filter((s) => s !== undefined);
      const combined = AbortSignal.any(signals);
      throwIfAborted(name, combined);
      checkRange(resource, offset, length);
      return readRange({ resource, options, signal: combined }, offset, length);
    },
    async [Symbol.asyncDispose]() {
      disposal.abort();
    },
  };
}

/** Asks for what is missing until all of it is there; a try that brings little uses up one of `retries`. */
async function readRange(
  source: DirectSource,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const { resource, options, signal } = source;
  const result = allocate(resource.name, length);
  let received = 0;
  let failures = 0;
  while (received < length) {
    const range = { start: offset + received, end: offset + length };
    const response = await request({ name: resource.name, range, options, signal });
    await checkPart(response, resource, range);
    const before = received;
    const end = await readBody({
      response,
      into: result,
      at: received,
      name: resource.name,
      signal,
      options,
    });
    received = end.at;
    if (received === length) break;
    if (received - before < progressBytes) failures++;
    if (failures > options.retries) {
      throw httpFailure(
        resource.name,
        `the body ended ${length - received} bytes early, ${failures} times`,
        { expected: length, got: received, cause: end.cause },
      );
    }
    await backOff({ name: resource.name, attempt: failures, options, signal });
  }
  return result;
}

interface BodyRead {
  readonly response: Response;
  readonly into: Uint8Array;
  readonly at: number;
  readonly name: string;
  readonly signal: AbortSignal | undefined;
  readonly options: HttpRequestOptions;
}

/** Fills `into` from `at`. Returns where it got to; `cause` when the connection broke. More than fits is an error. */
async function readBody({
  response,
  into,
  at,
  name,
  signal,
  options,
}: BodyRead): Promise<{ at: number; cause?: unknown }> {
  const reader = response.body?.getReader();
  if (reader === undefined) return { at };
  let position = at;
  try {
    for (;;) {
      const { done, value } = await unlessStalled(reader.read(), options);
      if (done) return { at: position };
      if (value.length > into.length - position) {
        throw httpFailure(name, 'the server sent more than the range that was asked for', {
          expected: into.length - at,
          got: position - at + value.length,
        });
      }
      into.set(value, position);
      position += value.length;
    }
  } catch (cause) {
    void reader.cancel().catch(() => undefined);
    throwIfAborted(name, signal);
    if (RwkvError.isInstance(cause)) throw cause;
    return { at: position, cause };
  }
}
