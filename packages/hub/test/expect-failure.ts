import { expect } from 'vitest';
import { HubError } from '../src/index.js';

/** The typed error that a promise ends with. */
export async function expectFailure(promise: Promise<unknown>): Promise<HubError> {
  const error: unknown = await promise.then(
    () => 'no error',
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(HubError);
  return error as HubError;
}
