import { BackendError } from '@rwkv-ts/backend';

/** Throws `DISPOSED` when `disposed` holds. */
export function requireLive(disposed: boolean, what: string): void {
  if (!disposed) return;
  throw new BackendError({
    code: 'DISPOSED',
    message: `The ${what} was disposed of; create a new one.`,
    expected: 'a live handle',
    got: 'a disposed one',
  });
}
