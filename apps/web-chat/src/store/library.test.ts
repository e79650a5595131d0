import { afterEach, describe, expect, it, vi } from 'vitest';
import { openLibrary } from './library.js';

/** An IndexedDB that fails to open with this. */
function failWith(error: unknown): void {
  vi.stubGlobal('indexedDB', {
    open: () => {
      const request: { error: unknown; onerror?: () => void } = { error };
      queueMicrotask(() => request.onerror?.());
      return request;
    },
  });
}

describe('a library whose browser', () => {
  afterEach(() => {
    vi.unstubAllGlobals();
  });

  it.each([
    ['has no room', new DOMException('quota', 'QuotaExceededError'), 'LIBRARY_FULL'],
    ['refuses storage', new DOMException('no', 'InvalidStateError'), 'LIBRARY_FAILED'],
    ['breaks', null, 'LIBRARY_FAILED'],
  ])('%s says so in a typed error', async (_, cause, code) => {
    failWith(cause);
    const library = openLibrary();
    for (const work of [library.list('f'), library.bytes('a'), library.remove('a')]) {
      await expect(work).rejects.toMatchObject({ code, cause });
    }
    await expect(library.clear()).rejects.toMatchObject({ code });
  });

  it('has no IndexedDB says so, too', async () => {
    vi.stubGlobal('indexedDB', undefined);
    await expect(openLibrary().list('f')).rejects.toMatchObject({ code: 'LIBRARY_FAILED' });
  });
});
