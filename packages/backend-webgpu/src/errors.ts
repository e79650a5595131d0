import { BackendError } from '@rwkv-ts/backend';

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
