/** The hub's answers are small JSON documents and headers; nothing larger is read, and nothing is waited for endlessly. */
import { HubError } from './errors.js';

export interface GuardedFetchOptions {
  readonly fetch: typeof globalThis.fetch;
  readonly signal: AbortSignal | undefined;
  /** Milliseconds for one answer. */
  readonly timeout: number;
}

const largestDocument = 32 * 1024 * 1024;

/**
 * `fetch` for the hub's client. Bodies other than JSON are dropped unread. The response loses its own address, so the
 * client gives the address it asked rather than a signed one that expires.
 */
export function guardedFetch({
  fetch,
  signal,
  timeout,
}: GuardedFetchOptions): typeof globalThis.fetch {
  return async (input, init) => {
    const deadline = AbortSignal.timeout(timeout);
    const combined = signal === undefined ? deadline : AbortSignal.any([signal, deadline]);
    const response = await fetch(input, { ...init, signal: combined });
    const { status, statusText, headers } = response;
    const isJson = headers.get('content-type')?.includes('json') === true;
    if (!isJson) await response.body?.cancel();
    const body = isJson ? await smallBody(response) : null;
    return new Response(body, { status, statusText, headers });
  };
}

async function smallBody(response: Response): Promise<Blob> {
  const reader = response.body?.getReader();
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let received = 0;
  for (;;) {
    const next = await reader?.read();
    if (next === undefined || next.done) return new Blob(parts);
    received += next.value.length;
    if (received > largestDocument) {
      await reader?.cancel();
      throw new HubError({
        code: 'SERVER_FAILED',
        message: `The server sent a document of more than ${largestDocument} bytes`,
        expected: largestDocument,
        got: received,
      });
    }
    parts.push(next.value);
  }
}
