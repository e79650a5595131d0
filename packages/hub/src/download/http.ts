/** One GET over HTTP: redirects, statuses, pauses. What the answer says of the file is for `answer.ts`. */
import { HubError, abortedError, statusError, throwIfAborted } from '../errors.js';

export interface Network {
  readonly fetch: typeof globalThis.fetch;
  readonly retries: number;
  /** Milliseconds. */
  readonly retryDelay: number;
  readonly longestWait: number;
  readonly stallTimeout: number;
  /** Browsers hide where a redirect leads, so there they follow it themselves. */
  readonly redirects: 'checked' | 'by fetch';
}

export interface GetRequest {
  readonly url: URL;
  /** Shown to people. */
  readonly name: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Goes to `tokenOrigin` only, wherever redirects lead. */
  readonly token?: string | undefined;
  readonly tokenOrigin?: string | undefined;
  readonly network: Network;
  readonly signal: AbortSignal | undefined;
}

/** A failure that may pass: worth another try. */
export class PassingFailure extends Error {
  /** Milliseconds that the server asked to wait. */
  readonly wait: number;
  /** What it is when it does not pass. */
  readonly final: HubError;
  constructor(final: HubError, wait = 0) {
    super(final.message);
    this.final = final;
    this.wait = wait;
  }
}

const mostRedirects = 10;

/**
 * An answer of status 200, 206 or 416, whose body is unread.
 * @throws HubError, PassingFailure
 */
export async function get(request: GetRequest): Promise<Response> {
  const visited = new Set<string>();
  let { url } = request;
  let trusted = true;
  for (;;) {
    throwIfAborted(request.name, request.signal);
    // Once elsewhere, it stays away: another server says where to go next.
    trusted &&= url.origin === request.tokenOrigin;
    const response = await getOnce(request, { url, token: trusted ? request.token : undefined });
    const location = redirectOf(response);
    if (location === undefined) return checkStatus(response, request);
    await response.body?.cancel().catch(() => undefined);
    visited.add(url.href);
    url = nextUrl(request, { from: url, location });
    if (visited.size >= mostRedirects || visited.has(url.href)) {
      throw new HubError({
        code: 'REDIRECT_REFUSED',
        message: `${request.name}: the server redirects ${visited.has(url.href) ? 'in a circle' : 'too often'}`,
        expected: mostRedirects,
        got: visited.size,
      });
    }
  }
}

async function getOnce(
  { network, signal, name, headers }: GetRequest,
  { url, token }: { url: URL; token: string | undefined },
): Promise<Response> {
  const stalled = new AbortController();
  const signals = signal === undefined ? [stalled.signal] : [signal, stalled.signal];
  try {
    // A browser's own `fetch` refuses to be called as a method of something else.
    const { fetch } = network;
    const answer = fetch(url.href, {
      headers: {
        ...headers,
        ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
      },
      redirect: network.redirects === 'checked' ? 'manual' : 'follow',
      // Parts in the browser's own cache may be of an older file.
      cache: 'no-store',
      signal: AbortSignal.any(signals),
    });
    return await unlessStalled(answer, network);
  } catch (cause) {
    if (signal?.aborted === true) throw abortedError(name, signal);
    stalled.abort(cause);
    const reason = cause instanceof Error ? reasonOf(cause) : String(cause);
    const message = `${name}: the server cannot be reached: ${reason}`;
    throw new PassingFailure(new HubError({ code: 'OFFLINE', message, cause }));
  }
}

/** `fetch` says "fetch failed", and why in the cause. */
function reasonOf(error: Error): string {
  return error.cause instanceof Error ? error.cause.message || error.message : error.message;
}

function redirectOf(response: Response): string | undefined {
  const isRedirect = [301, 302, 303, 307, 308].includes(response.status);
  return isRedirect ? (response.headers.get('location') ?? '') : undefined;
}

function nextUrl({ name }: GetRequest, { from, location }: { from: URL; location: string }): URL {
  const refuse = (why: string): HubError =>
    new HubError({
      code: 'REDIRECT_REFUSED',
      message: `${name}: redirected ${why}`,
      expected: 'an address of http: or https:',
      got: location.slice(0, 200),
    });
  if (location === '') throw refuse('without an address');
  let to: URL;
  try {
    to = new URL(location, from);
  } catch {
    throw refuse('to what is no address');
  }
  if (to.protocol !== 'https:' && to.protocol !== 'http:') {
    throw refuse(`to an address of ${to.protocol}`);
  }
  if (from.protocol === 'https:' && to.protocol === 'http:') {
    throw refuse('from https: to http:, where anybody between could change the file');
  }
  return to;
}

async function checkStatus(response: Response, request: GetRequest): Promise<Response> {
  const { status } = response;
  if (status === 200 || status === 206 || status === 416) return response;
  await response.body?.cancel().catch(() => undefined);
  const { name, network, token } = request;
  if (status === 429 || status === 408 || status >= 500) {
    throw passing(response, { name, longestWait: network.longestWait });
  }
  const errorCode = response.headers.get('x-error-code');
  throw statusError(name, { status, hasToken: token !== undefined, errorCode });
}

/** What a status that may pass by itself becomes. @throws HubError `RATE_LIMITED` when the pause would be too long */
export function passing(
  response: Response,
  { name, longestWait }: { name: string; longestWait: number },
): PassingFailure {
  const { status } = response;
  const seconds = retryAfter(response.headers.get('retry-after'));
  const asked = seconds === undefined ? '' : `; it asks to wait ${Math.ceil(seconds)} s`;
  const isLimit = status === 429 || (seconds !== undefined && seconds * 1000 > longestWait);
  const final = isLimit
    ? new HubError({
        code: 'RATE_LIMITED',
        message: `${name}: the server takes no more requests for now (${status})${asked}`,
        expected: longestWait / 1000,
        got: seconds,
      })
    : statusError(name, { status, hasToken: false });
  if (seconds !== undefined && seconds * 1000 > longestWait) throw final;
  return new PassingFailure(final, (seconds ?? 0) * 1000);
}

/** Seconds, from either form of the header. */
function retryAfter(header: string | null): number | undefined {
  if (header === null) return undefined;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header);
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, (date - Date.now()) / 1000);
}

/** The result of `work`, or an error when it takes longer than `stallTimeout`: a server may keep a connection open for ever. */
export async function unlessStalled<Result>(
  work: Promise<Result>,
  { stallTimeout }: Pick<Network, 'stallTimeout'>,
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

/** @throws HubError `ABORTED` */
export async function pause(
  milliseconds: number,
  { name, signal }: { name: string; signal: AbortSignal | undefined },
): Promise<void> {
  throwIfAborted(name, signal);
  await new Promise<void>((resolve) => {
    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, milliseconds);
    signal?.addEventListener('abort', finish, { once: true });
  });
  throwIfAborted(name, signal);
}

/** Milliseconds before try `failures + 1`: growing, a little uneven so that many do not come at once, or what was asked. */
export function delayBefore(failures: number, { retryDelay }: Network, asked: number): number {
  const growing = Math.min(30_000, retryDelay * 2 ** (failures - 1));
  return Math.max(asked, growing * (0.75 + Math.random() / 2));
}
