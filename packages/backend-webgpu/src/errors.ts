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

/** What a program names and a handle lacks, or has in another shape. */
export function programMismatch(what: string, expected: string, got: string): BackendError {
  return new BackendError({
    code: 'PROGRAM_INVALID',
    message: `The ${what} must be ${expected}, got ${got}.`,
    expected,
    got,
  });
}

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

export function deviceLost(reason: string, cause?: unknown): BackendError {
  return new BackendError({
    code: 'DEVICE_LOST',
    message: `The GPU device was lost: ${reason}. Create a new backend and write the last snapshots back.`,
    expected: 'a live device',
    got: reason,
    cause,
  });
}

export function deviceUnavailable(message: string, cause?: unknown): BackendError {
  return new BackendError({ code: 'DEVICE_UNAVAILABLE', message, cause });
}
