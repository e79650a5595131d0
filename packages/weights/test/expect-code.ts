import { RwkvError } from '@rwkv-ts/backend';
import { expect } from 'vitest';
import type { WeightsErrorCode } from '../src/errors.js';

/** Expects a rejection, or a throw, with `code` and a message that matches. */
export async function expectCode(
  work: Promise<unknown> | (() => unknown),
  code: WeightsErrorCode,
  message?: RegExp,
): Promise<void> {
  const error: unknown = await Promise.resolve()
    .then(() => (typeof work === 'function' ? work() : work))
    .then(
      () => undefined,
      (reason: unknown) => reason,
    );
  expect(RwkvError.isInstance(error), `an RwkvError, not ${String(error)}`).toBe(true);
  expect(error).toMatchObject({ code });
  if (message !== undefined) expect((error as Error).message).toMatch(message);
}
