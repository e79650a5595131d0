/** Errors that every backend has in common. */
import { BackendError } from '@rwkv-ts/backend';

/** @throws BackendError `DISPOSED` when `disposed` holds; `what` is the handle, for people */
export function requireLive(disposed: boolean, what: string): void {
  if (!disposed) return;
  throw new BackendError({
    code: 'DISPOSED',
    message: `The ${what} was disposed of; create a new one.`,
    expected: 'a live handle',
    got: 'a disposed one',
  });
}

/** `what` needs `got` bytes, of which `expected` are there. */
export function outOfMemory(options: {
  readonly what: string;
  readonly expected: number | string;
  readonly got: number;
  readonly cause?: unknown;
}): BackendError {
  const { what, expected, got } = options;
  return new BackendError({
    code: 'OUT_OF_MEMORY',
    message: `${what} needs ${got} bytes; available: ${expected}.`,
    ...options,
  });
}

/** A slot out of range, or a snapshot of another length. */
export function stateInvalid(what: string, expected: string, got: number | string): BackendError {
  return new BackendError({
    code: 'STATE_INVALID',
    message: `The ${what} must be ${expected}, got ${got}.`,
    expected,
    got,
  });
}
