import { WeightsError } from '../errors.js';
import { aborted, throwIfAborted } from './checks.js';

export interface HttpRequestOptions {
  /** Default the global one. */
  readonly fetch: typeof globalThis.fetch;
  /** Added to every request: authorisation, for example. */
  readonly headers: Readonly<Record<string, string>>;
  /** Further tries after a failure that may pass; default 4. */
  readonly retries: number;
  /** Milliseconds before the first retry; doubles each time, to 30 s at most. Default 500. */
  readonly retryDelay: number;
  /** Milliseconds in which something must come, headers or a part of the body, before it counts as failed. Default 60000. */
  readonly stallTimeout: number;
}

/** Bytes [start, end). */
export interface Range {
  readonly start: number;
  readonly end: number;
}

export interface RangeRequest {
  readonly name: string;
  readonly range: Range;
  readonly options: HttpRequestOptions;
  readonly signal: AbortSignal | undefined;
  readonly method?: 'GET' | 'HEAD';
}

const longestDelay = 30_000;
/** Statuses that may pass by themselves. */
const passing = (status: number) => status === 408 || status === 429 || status >= 500;

/** The answer to one Range request, after retries. Its status is below 500; what it says is the caller's to check. */
export async function request(asked: RangeRequest): Promise<Response> {
  const { name, options, signal } = asked;
  for (let attempt = 0; ; attempt++) {
    throwIfAborted(name, signal);
    const { response, cause } = await attemptRequest(asked);
    if (response !== undefined && !passing(response.status)) return response;
    const wait = response?.headers.get('retry-after') ?? null;
    await response?.body?.cancel().catch(() => undefined);
    if (attempt >= options.retries) {
      const reason =
        response === undefined
          ? 'the network request failed'
          : `the server answered ${describe(response)}`;
      throw httpFailure(name, `${reason}, ${attempt + 1} times`, { got: response?.status, cause });
    }
    await backOff({ name, attempt, options, signal, retryAfter: wait });
  }
}

async function attemptRequest({
  name,
  range,
  options,
  signal,
  method = 'GET',
}: RangeRequest): Promise<{ response?: Response; cause?: unknown }> {
  const headers: Record<string, string> = { ...options.headers };
  if (method === 'GET') headers['Range'] = `bytes=${range.start}-${range.end - 1}`;
  const stalled = new AbortController();
  const signals = signal === undefined ? [stalled.signal] : [signal, stalled.signal];
  try {
    const answer = options.fetch(name, {
      method,
      headers,
      // Parts in the browser's own cache may be of an older file, and Chrome makes readers of one cache entry take turns.
      cache: 'no-store',
      signal: AbortSignal.any(signals),
    });
    return { response: await unlessStalled(answer, options) };
  } catch (cause) {
    if (signal?.aborted === true) throw aborted(name, cause);
    stalled.abort(cause);
    return { cause };
  }
}

/** The result of `work`, or an error when it takes longer than `stallTimeout`: a server may keep a connection open for ever. */
export async function unlessStalled<Result>(
  work: Promise<Result>,
  { stallTimeout }: Pick<HttpRequestOptions, 'stallTimeout'>,
): Promise<Result> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`nothing came for ${stallTimeout} ms`));
    }, stallTimeout);
  });
  try {
    return await Promise.race([work, deadline]);
  } finally {
    clearTimeout(timer);
  }
}

interface BackOff {
  readonly name: string;
  /** 0 for the first retry. */
  readonly attempt: number;
  readonly options: HttpRequestOptions;
  readonly signal: AbortSignal | undefined;
  /** The header of that name: seconds (its date form is ignored). */
  readonly retryAfter?: string | null;
}

/** Waits before the next try. @throws WeightsError `ABORTED` */
export function backOff({ name, attempt, options, signal, retryAfter }: BackOff): Promise<void> {
  const growing = options.retryDelay * 2 ** attempt;
  const asked = /^\d{1,6}$/.test(retryAfter ?? '') ? Number(retryAfter) * 1000 : 0;
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(aborted(name, signal?.reason));
    };
    const finish = () => {
      signal?.removeEventListener('abort', stop);
      resolve();
    };
    const timer = setTimeout(finish, Math.min(longestDelay, Math.max(growing, asked)));
    signal?.addEventListener('abort', stop, { once: true });
  });
}

export function describe(response: Response): string {
  return `${response.status} ${response.statusText}`.trim();
}

interface FailureDetails {
  readonly expected?: unknown;
  readonly got?: unknown;
  readonly cause?: unknown;
}

export function httpFailure(
  name: string,
  what: string,
  details: FailureDetails = {},
): WeightsError {
  return new WeightsError({ code: 'SOURCE_FAILED', message: `${name}: ${what}`, ...details });
}
