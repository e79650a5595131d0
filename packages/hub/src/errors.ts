import { RwkvError } from '@rwkv-ts/backend';

/**
 * - `REFERENCE_INVALID`: the text names neither a file, nor a URL, nor a repository.
 * - `NOT_FOUND`: no such file, repository or revision.
 * - `ACCESS_DENIED`: private or gated (or misspelt: the hub does not tell); the message says what to do.
 * - `MODEL_AMBIGUOUS`: a repository with several model files; `expected` lists them.
 * - `NO_MODEL_FILE`: a repository without one.
 * - `LOCAL_FILES_UNAVAILABLE`: a path, where there is no file system; pass a `File` to the loader instead.
 * - `OFFLINE`: no connection; `cause` has the reason.
 * - `SERVER_FAILED`: the server answered with an error, or with something else than was asked for.
 * - `ABORTED`: the caller's signal fired.
 */
export type HubErrorCode =
  | 'REFERENCE_INVALID'
  | 'NOT_FOUND'
  | 'ACCESS_DENIED'
  | 'MODEL_AMBIGUOUS'
  | 'NO_MODEL_FILE'
  | 'LOCAL_FILES_UNAVAILABLE'
  | 'OFFLINE'
  | 'SERVER_FAILED'
  | 'ABORTED';

/** Anything that keeps a reference from becoming bytes. */
export class HubError extends RwkvError<HubErrorCode> {}

/** What an HTTP status means for somebody who wants `what`. */
export function statusError(
  what: string,
  { status, hasToken, cause }: { status: number; hasToken: boolean; cause: unknown },
): HubError {
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
