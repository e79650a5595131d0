/** The hub's answers are small JSON documents and headers; nothing larger is read, and nothing is waited for endlessly. */
import { type Network, delayBefore, passing, pause } from './download/http.js';
import { HubError } from './errors.js';

export interface GuardedFetchOptions {
  /** Its `fetch`, and its patience with a hub that is busy. */
  readonly network: Network;
  readonly signal: AbortSignal | undefined;
  /** Milliseconds for one answer. */
  readonly timeout: number;
  /** The only one that gets the token: a list's next page is wherever an answer says. */
  readonly origin: string;
  /** Told the hub's own word for what is wrong, which its client does not pass on. */
  readonly onErrorCode: (code: string | null) => void;
}

const largestDocument = 32 * 1024 * 1024;

/**
 * `fetch` for the hub's client. Bodies other than JSON are dropped unread. The response loses its own address, so the
 * client gives the address it asked rather than a signed one that expires.
 */
export function guardedFetch(options: GuardedFetchOptions): typeof globalThis.fetch {
  return async (input, init) => {
    const response = await patiently(options, input, init);
    const { status, statusText, headers } = response;
    options.onErrorCode(response.ok ? null : headers.get('x-error-code'));
    const isJson = headers.get('content-type')?.includes('json') === true;
    if (!isJson) await response.body?.cancel();
    const body = isJson ? await smallBody(response) : null;
    return new Response(body, { status, statusText, headers });
  };
}

/** A hub that is busy is asked again, after the pause it wants. A connection that fails is not: there may be a cache. */
async function patiently(
  { network, signal, timeout, origin }: GuardedFetchOptions,
  input: Parameters<typeof globalThis.fetch>[0],
  init: RequestInit | undefined,
): Promise<Response> {
  const url = new URL(input instanceof Request ? input.url : input);
  const { fetch } = network;
  const headers = new Headers(init?.headers);
  if (url.origin !== origin) headers.delete('authorization');
  for (let failures = 1; ; failures++) {
    const deadline = AbortSignal.timeout(timeout);
    const combined = signal === undefined ? deadline : AbortSignal.any([signal, deadline]);
    const response = await fetch(input, { ...init, headers, signal: combined });
    const { status } = response;
    if (status !== 429 && status < 500) return response;
    await response.body?.cancel();
    const failure = passing(response, { name: url.href, longestWait: network.longestWait });
    if (failures > network.retries) throw failure.final;
    await pause(delayBefore(failures, network, failure.wait), { name: url.href, signal });
  }
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
