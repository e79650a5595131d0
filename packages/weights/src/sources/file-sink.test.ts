/** A disk that fails, which no test machine offers on request: the handle's own calls are made to fail. */
import { mkdtemp, open, readdir, rm } from 'node:fs/promises';
import type * as FileSystem from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { expectCode } from '../../test/expect-code.js';
import { fileSink } from './file-sink.node.js';

vi.mock('node:fs/promises', async (original) => {
  const actual = await original<typeof FileSystem>();
  return { ...actual, open: vi.fn(actual.open) };
});

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rwkv-sink-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function failingSink(call: 'write' | 'sync') {
  const actual = await vi.importActual<typeof FileSystem>('node:fs/promises');
  vi.mocked(open).mockImplementationOnce(async (...args) => {
    const handle = await actual.open(...args);
    handle[call] = async () => {
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    };
    return handle;
  });
  return fileSink(join(folder, 'out'));
}

describe('fileSink on a full disk', () => {
  it.each(['write', 'sync'] as const)(
    'reports a failing %s, takes nothing more, and leaves nothing behind',
    async (call) => {
      const sink = await failingSink(call);
      const work = call === 'write' ? sink.write(new Uint8Array(10)) : sink.close();
      await expectCode(work, 'SINK_FAILED', /the disk is full: ENOSPC/);
      await expectCode(sink.write(new Uint8Array(1)), 'SINK_FAILED', /failed/);
      await expectCode(sink.close(), 'SINK_FAILED', /failed/);
      await sink[Symbol.asyncDispose]();
      expect(await readdir(folder)).toEqual([]);
    },
  );
});
