/** What an answer says of the file: whether it is the asked part, of the file that was begun. */
import { HubError } from '../errors.js';

export interface KnownFile {
  readonly name: string;
  /** Undefined before the first answer, where nobody said. */
  readonly size: number | undefined;
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
  /** Whether a hash decides in the end, so that the validators of changing servers do not matter. */
  readonly hashed: boolean;
}

export type Answer =
  /** The body holds bytes [start, end) of a file of `size`. */
  | {
      readonly kind: 'part';
      readonly start: number;
      readonly end: number;
      readonly size: number;
      readonly etag: string | undefined;
      readonly lastModified: string | undefined;
    }
  /** Another file than the one begun is there now. */
  | { readonly kind: 'changed'; readonly what: string };

/**
 * Reads the headers of an answer to a request for everything from `offset`.
 * @throws HubError `SIZE_MISMATCH`, `SERVER_FAILED`
 */
export function readAnswer(response: Response, known: KnownFile, offset: number): Answer {
  const { name, size: expected } = known;
  refuseEncoding(response, name);
  const etag = response.headers.get('etag') ?? undefined;
  const lastModified = response.headers.get('last-modified') ?? undefined;
  if (!known.hashed) {
    const changed = changedValidator(known, { etag, lastModified });
    if (changed !== undefined) return { kind: 'changed', what: changed };
    refusePages(response, name);
  }
  const range = rangeOf(response, { name, offset });
  const size = range.size ?? expected;
  if (size === undefined) {
    throw new HubError({
      code: 'SERVER_FAILED',
      message: `${name}: the server does not say how large the file is, so nobody could tell whether all of it came`,
      expected: 'Content-Length or Content-Range',
    });
  }
  if (expected !== undefined && size !== expected) {
    if (!known.hashed && offset > 0)
      return { kind: 'changed', what: `size ${expected} became ${size}` };
    throw new HubError({
      code: 'SIZE_MISMATCH',
      message: `${name}: the server announces ${size} bytes, but the file has ${expected}`,
      expected,
      got: size,
    });
  }
  const end = range.end ?? size;
  if (range.start > end || end > size) {
    throw new HubError({
      code: 'SERVER_FAILED',
      message: `${name}: the server answers a range that cannot be: "${response.headers.get('content-range') ?? ''}"`,
      expected: size,
      got: end,
    });
  }
  return { kind: 'part', start: range.start, end, size, etag, lastModified };
}

interface AnsweredRange {
  readonly start: number;
  readonly end?: number | undefined;
  readonly size?: number | undefined;
}

/** `bytes 0-99/1234`, `bytes 0-99/*`, `bytes *\/1234` (RFC 9110, section 14.4). */
function rangeOf(
  response: Response,
  { name, offset }: { name: string; offset: number },
): AnsweredRange {
  const { status } = response;
  const header = response.headers.get('content-range');
  const [, start, last, size] =
    /^bytes (?:(\d{1,16})-(\d{1,16})|\*)\/(?:(\d{1,16})|\*)$/.exec(header ?? '') ?? [];
  const total = size === undefined ? undefined : Number(size);
  if (status === 200) {
    const length = response.headers.get('content-length');
    const isNumber = /^\d{1,16}$/.test(length ?? '');
    return { start: 0, size: isNumber ? Number(length) : undefined };
  }
  if (status === 416) {
    // Nothing from here on: right for an empty file, and for one that is whole already.
    if (total === offset) return { start: offset, end: offset, size: total };
    throw new HubError({
      code: 'SIZE_MISMATCH',
      message: `${name}: the server has no byte ${offset} of the file (416)`,
      expected: offset,
      got: total,
    });
  }
  if (header === null) {
    // Hidden from other origins where a server does not expose it; then the range is the one asked for.
    const length = response.headers.get('content-length');
    const isNumber = /^\d{1,16}$/.test(length ?? '');
    return { start: offset, size: isNumber ? offset + Number(length) : undefined };
  }
  if (start === undefined || Number(start) !== offset) {
    throw new HubError({
      code: 'SERVER_FAILED',
      message: `${name}: the server answers the range "${header}"`,
      expected: `bytes ${offset}-`,
      got: header,
    });
  }
  return { start: offset, end: Number(last) + 1, size: total };
}

function changedValidator(
  known: KnownFile,
  now: { etag: string | undefined; lastModified: string | undefined },
): string | undefined {
  if (known.etag !== undefined && now.etag !== undefined && known.etag !== now.etag) {
    return `ETag ${known.etag} became ${now.etag}`;
  }
  const { lastModified: before } = known;
  if (before !== undefined && now.lastModified !== undefined && before !== now.lastModified) {
    return `Last-Modified ${before} became ${now.lastModified}`;
  }
  return undefined;
}

/** Whether two answers with these validators are of the same bytes. A weak ETag (RFC 9110, section 8.8.1) promises less. */
export function isResumable({
  etag,
  lastModified,
  hashed,
}: Pick<KnownFile, 'etag' | 'lastModified' | 'hashed'>): boolean {
  return hashed || (etag === undefined ? lastModified !== undefined : !etag.startsWith('W/'));
}

/** `fetch` decodes what is compressed, so that lengths and ranges are not the file's. */
function refuseEncoding(response: Response, name: string): void {
  const encoding = response.headers.get('content-encoding');
  if (encoding === null || encoding === '' || encoding === 'identity') return;
  throw new HubError({
    code: 'SERVER_FAILED',
    message: `${name}: the server compresses its answers (${encoding}), so their size is not the file's`,
    expected: 'identity',
    got: encoding,
  });
}

function refusePages(response: Response, name: string): void {
  if (response.headers.get('content-type')?.includes('text/html') !== true) return;
  throw new HubError({
    code: 'SERVER_FAILED',
    message: `${name}: the server sent a web page instead of a file; use the address of the file itself`,
    expected: 'a file',
    got: 'text/html',
  });
}
