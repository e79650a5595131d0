import { RwkvError } from '@rwkv-ts/backend';

/**
 * - `REFERENCE_INVALID`: the text names neither a file, nor a URL, nor a repository.
 * - `NOT_FOUND`: no such file, repository or revision.
 * - `ACCESS_DENIED`: private, gated or misspelt (the hub does not always tell which); the message says what to do.
 * - `GATED`: the repository exists, and wants its terms accepted; the message says where.
 * - `MODEL_AMBIGUOUS`: a repository with several model files; `expected` lists them.
 * - `NO_MODEL_FILE`: a repository without one.
 * - `LOCAL_FILES_UNAVAILABLE`: a path, where there is no file system; pass a `File` to the loader instead.
 * - `OFFLINE`: no connection, or none allowed, and the cache does not hold what was asked for; `cause` has the reason.
 * - `SERVER_FAILED`: the server answered with an error, or with something else than was asked for.
 * - `RATE_LIMITED`: the server wants a longer pause than is waited here; `got` is the seconds it asked for, if it said.
 * - `REDIRECT_REFUSED`: more redirects than `expected`, or one to an address that is not followed.
 * - `SIZE_MISMATCH`: the server sends more, or announces another size, than the file has.
 * - `HASH_MISMATCH`: all bytes came, and they are not those of the file; nothing of them is kept.
 * - `FILE_CHANGED`: the file was replaced on the server while it was downloaded; another try gets the new one.
 * - `STORAGE_FULL`: not enough space; `expected` is what is free (bytes, where known), `got` what is needed.
 * - `STORAGE_BUSY`: another process or tab is downloading or using this very file.
 * - `STORAGE_UNAVAILABLE`: this place has no storage for models, or may not write to it.
 * - `STORAGE_FAILED`: reading or writing the cache failed; `cause` has the reason.
 * - `ABORTED`: the caller's signal fired.
 */
export type HubErrorCode =
  | 'REFERENCE_INVALID'
  | 'NOT_FOUND'
  | 'ACCESS_DENIED'
  | 'GATED'
  | 'MODEL_AMBIGUOUS'
  | 'NO_MODEL_FILE'
  | 'LOCAL_FILES_UNAVAILABLE'
  | 'OFFLINE'
  | 'SERVER_FAILED'
  | 'RATE_LIMITED'
  | 'REDIRECT_REFUSED'
  | 'SIZE_MISMATCH'
  | 'HASH_MISMATCH'
  | 'FILE_CHANGED'
  | 'STORAGE_FULL'
  | 'STORAGE_BUSY'
  | 'STORAGE_UNAVAILABLE'
  | 'STORAGE_FAILED'
  | 'ABORTED';

/** Anything that keeps a reference from becoming bytes. */
export class HubError extends RwkvError<HubErrorCode> {}

export interface StatusFacts {
  readonly status: number;
  readonly hasToken: boolean;
  /** The hub's own word for what is wrong (`X-Error-Code`). */
  readonly errorCode?: string | null | undefined;
  readonly cause?: unknown;
}

/** What an HTTP status means for somebody who wants `what`. */
export function statusError(
  what: string,
  { status, hasToken, errorCode, cause }: StatusFacts,
): HubError {
  if (errorCode === 'GatedRepo') {
    const advice = hasToken ? '' : ', and pass `token`';
    return new HubError({
      code: 'GATED',
      message: `${what}: gated (${status}): accept its terms on the model's page${advice}`,
      got: status,
      cause,
    });
  }
  if (status === 404) {
    return new HubError({
      code: 'NOT_FOUND',
      message: `${what}: not found (404)`,
      got: status,
      cause,
    });
  }
  if (status === 401 || status === 403) {
    const advice = hasToken
      ? 'the token does not give access: check it, and accept the terms on the model page if there are any'
      : 'it does not exist, or it is private or gated: check the name, and pass `token`';
    return new HubError({
      code: 'ACCESS_DENIED',
      message: `${what}: access denied (${status}); ${advice}`,
      got: status,
      cause,
    });
  }
  return new HubError({
    code: 'SERVER_FAILED',
    message: `${what}: the server answered ${status}`,
    got: status,
    cause,
  });
}

export function abortedError(what: string, signal: AbortSignal | undefined): HubError {
  return new HubError({ code: 'ABORTED', message: `${what}: aborted`, cause: signal?.reason });
}

/** @throws HubError `ABORTED` */
export function throwIfAborted(what: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortedError(what, signal);
}
