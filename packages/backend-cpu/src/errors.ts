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

export function requireShape(
  what: string,
  { expected, got }: { readonly expected: readonly number[]; readonly got: readonly number[] },
): void {
  if (expected.length === got.length && expected.every((size, axis) => size === got[axis])) return;
  throw programMismatch(what, `[${expected.join(', ')}]`, `[${got.join(', ')}]`);
}
