import { throwIfAborted } from './checks.js';
import type { HttpRequestOptions, Range } from './http-request.js';
import { backOff, describe, httpFailure, request, unlessStalled } from './http-request.js';
import { joinBytes } from './memory-sink.js';

/** What the first answer says about the file, and every later one must repeat. */
export interface Resource {
  readonly name: string;
  readonly size: number;
  /** ETag without its weakness mark, or null where the server sends none (or hides it from other origins). */
  readonly etag: string | null;
  readonly lastModified: string | null;
}

interface Opening {
  readonly name: string;
  readonly options: HttpRequestOptions;
  readonly blockBytes: number;
  readonly signal: AbortSignal | undefined;
}

type FirstAnswer =
  | {
      readonly resource: Resource;
      readonly whole?: undefined;
      /** The file's first bytes: a block of them, or as many as came. */
      readonly start: Uint8Array;
    }
  /** The whole file, where a server without ranges sent one that fits in a block. */
  | { readonly whole: Uint8Array };

/** A body that ended in a network failure: worth another try. */
class BrokenBody extends Error {}

/** As `askFirst`, trying again when the body breaks off. */
export async function firstAnswer(opening: Opening): Promise<FirstAnswer> {
  const { name, options, signal } = opening;
  for (let attempt = 0; ; attempt++) {
    try {
      return await askFirst(opening);
    } catch (error) {
      if (!(error instanceof BrokenBody)) throw error;
      if (attempt >= options.retries) {
        throw httpFailure(name, `the connection broke, ${attempt + 1} times`, {
          cause: error.cause,
        });
      }
    }
    await backOff({ name, attempt, options, signal });
  }
}

/** Asks for the first block to learn the size, the validators, and that ranges are honoured. */
async function askFirst(opening: Opening): Promise<FirstAnswer> {
  const { name, options, blockBytes, signal } = opening;
  const range = { start: 0, end: blockBytes };
  const response = await request({ name, range, options, signal });
  const contentRange = parseContentRange(response.headers.get('content-range'));
  if (response.status === 416 && contentRange?.size === 0) {
    await discard(response);
    return { whole: new Uint8Array(0) };
  }
  if (response.status === 200) {
    const whole = await readUpTo(response, opening);
    if (whole === undefined) throw ignoresRanges(response, name);
    return { whole };
  }
  await requireStatus206(response, name);
  refuseEncoding(response, name);
  const body = await readUpTo(response, opening);
  const size = contentRange?.size ?? (await sizeByHead(opening));
  if (contentRange !== undefined && contentRange.start !== 0) {
    throw httpFailure(name, 'the server answered another range than the one asked for', {
      expected: 0,
      got: contentRange.start,
    });
  }
  if (body === undefined || body.length > size) {
    throw httpFailure(name, 'the server sent more than the range that was asked for', {
      expected: Math.min(blockBytes, size),
      got: body?.length,
    });
  }
  return { resource: { name, size, ...validatorsOf(response) }, start: body };
}

/** Checks that `response` is the asked part of the same file. @throws WeightsError `SOURCE_FAILED` */
export async function checkPart(
  response: Response,
  resource: Resource,
  range: Range,
): Promise<void> {
  const { name } = resource;
  try {
    if (response.status === 200 || response.status === 416 || response.status === 412) {
      throw httpFailure(
        name,
        `the server honoured ranges before and now answers ${describe(response)}; the file may have changed`,
        {
          expected: 206,
          got: response.status,
        },
      );
    }
    await requireStatus206(response, name);
    refuseEncoding(response, name);
    const { etag, lastModified } = validatorsOf(response);
    requireSame(name, 'ETag', resource.etag, etag);
    requireSame(name, 'Last-Modified', resource.lastModified, lastModified);
    const header = response.headers.get('content-range');
    const got = parseContentRange(header);
    // A server may send less than was asked for (RFC 9110, section 15.3.7); the rest is asked for again.
    if (header !== null && (got?.start !== range.start || got.end! > range.end)) {
      throw httpFailure(name, `the server answered the range "${header}"`, {
        expected: `bytes ${range.start}-${range.end - 1}/${resource.size}`,
        got: header,
      });
    }
    if (got?.size !== undefined) requireSame(name, 'size', resource.size, got.size);
  } catch (error) {
    await discard(response);
    throw error;
  }
}

function requireSame(
  name: string,
  what: string,
  before: string | number | null,
  now: string | number | null,
): void {
  if (before === null || now === null || before === now) return;
  throw httpFailure(
    name,
    `the file changed while it was read: its ${what} was ${before} and is ${now}`,
    {
      expected: before,
      got: now,
    },
  );
}

function validatorsOf(response: Response): { etag: string | null; lastModified: string | null } {
  return {
    etag: response.headers.get('etag')?.replace(/^W\//, '') ?? null,
    lastModified: response.headers.get('last-modified'),
  };
}

async function requireStatus206(response: Response, name: string): Promise<void> {
  if (response.status === 206) return;
  await discard(response);
  const hints: Record<number, string> = {
    401: '; it needs authorisation (`headers`)',
    403: '; access is forbidden: it may need authorisation, or a signed address has expired',
    404: '; there is no such file at this address',
  };
  const hint = hints[response.status] ?? '';
  throw httpFailure(name, `the server answered ${describe(response)}${hint}`, {
    expected: 206,
    got: response.status,
  });
}

/** Ranges of compressed bytes are useless. Browsers and Node ask for none with a Range request; a proxy may still do it. */
function refuseEncoding(response: Response, name: string): void {
  const encoding = response.headers.get('content-encoding');
  if (encoding === null || encoding === '' || encoding === 'identity') return;
  throw httpFailure(
    name,
    `the server compresses its answers (${encoding}), so ranges do not match the file`,
    {
      expected: 'identity',
      got: encoding,
    },
  );
}

function ignoresRanges(response: Response, name: string): Error {
  const isPage = response.headers.get('content-type')?.includes('text/html') === true;
  const what = isPage
    ? 'the server sent a web page instead of a file; use the address of the file itself'
    : 'the server ignores Range requests (it answered 200 with the whole file); download the file first';
  return httpFailure(name, what, { expected: 206, got: 200 });
}

/** The body, or undefined when it is longer than a block; then no more of it is read. */
async function readUpTo(
  response: Response,
  { name, blockBytes, signal, options }: Opening,
): Promise<Uint8Array | undefined> {
  const reader = response.body?.getReader();
  if (reader === undefined) return new Uint8Array(0);
  const parts: Uint8Array[] = [];
  let received = 0;
  for (;;) {
    const next = unlessStalled(reader.read(), options).catch((cause: unknown) => {
      throwIfAborted(name, signal);
      void reader.cancel().catch(() => undefined);
      throw new BrokenBody('the connection broke', { cause });
    });
    const { done, value } = await next;
    if (done) return joinBytes(parts);
    received += value.length;
    if (received > blockBytes) {
      await reader.cancel().catch(() => undefined);
      return undefined;
    }
    parts.push(value);
  }
}

/** For servers that hide Content-Range from other origins; Content-Length is always visible. */
async function sizeByHead({ name, options, signal }: Opening): Promise<number> {
  const range = { start: 0, end: 0 };
  const response = await request({ name, range, options, signal, method: 'HEAD' });
  await discard(response);
  const length = response.headers.get('content-length');
  const size = length === null ? NaN : Number(length);
  if (response.ok && Number.isSafeInteger(size) && size >= 0) return size;
  throw httpFailure(
    name,
    'the server does not tell the size of the file: neither Content-Range nor Content-Length can be seen',
    {
      got: length,
    },
  );
}

interface ContentRange {
  /** Bytes [start, end); absent in an answer 416. */
  readonly start?: number;
  readonly end?: number;
  /** Absent where the server says `*`. */
  readonly size?: number;
}

/** `bytes 0-99/1234`, `bytes 0-99/*`, `bytes *\/1234` (RFC 9110, section 14.4). */
function parseContentRange(header: string | null): ContentRange | undefined {
  const match = /^bytes (?:(\d{1,16})-(\d{1,16})|\*)\/(?:(\d{1,16})|\*)$/.exec(header ?? '');
  if (match === null) return undefined;
  const [, start, last, size] = match;
  return {
    ...(start === undefined ? {} : { start: Number(start), end: Number(last) + 1 }),
    ...(size === undefined ? {} : { size: Number(size) }),
  };
}

async function discard(response: Response): Promise<void> {
  await response.body?.cancel().catch(() => undefined);
}
