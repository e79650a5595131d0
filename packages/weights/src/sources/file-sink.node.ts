import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ByteSink } from '../byte-source.js';
import { WeightsError } from '../errors.js';

/**
 * Writes a file on disk (Node), given by its path or `file:` URL, through a temporary sibling, which `close` flushes to
 * the disk and renames into place: whoever opens it sees the old file or the whole new one. Disposing of the sink before
 * `close` removes the temporary file.
 * @throws WeightsError `SINK_FAILED` (no permission, full disk, …)
 */
export async function fileSink(file: string | URL): Promise<ByteSink> {
  const path = typeof file === 'string' ? file : fileURLToPath(file);
  const temporary = `${path}.${randomBytes(6).toString('hex')}.part`;
  const handle = await open(temporary, 'wx').catch((cause: unknown) => {
    throw sinkFailed(path, cause);
  });
  return sinkOf({ handle, path, temporary });
}

interface OpenSink {
  readonly handle: FileHandle;
  readonly path: string;
  readonly temporary: string;
}

function sinkOf({ handle, path, temporary }: OpenSink): ByteSink {
  let state: 'open' | 'failed' | 'closed' | 'disposed' = 'open';
  const requireOpen = (action: string) => {
    if (state === 'open') return;
    throw new WeightsError({
      code: 'SINK_FAILED',
      message: `${path}: cannot ${action}: the sink is ${state}`,
      expected: 'open',
      got: state,
    });
  };
  const attempt = async (work: () => Promise<void>) => {
    try {
      await work();
    } catch (cause) {
      state = 'failed';
      throw sinkFailed(path, cause);
    }
  };
  return {
    async write(bytes) {
      requireOpen('write');
      await attempt(() => writeAll(handle, bytes));
    },
    async close() {
      requireOpen('close');
      await attempt(async () => {
        await handle.sync();
        await handle.close();
        await rename(temporary, path);
        await syncDirectory(dirname(path));
      });
      state = 'closed';
    },
    async [Symbol.asyncDispose]() {
      if (state === 'closed' || state === 'disposed') return;
      state = 'disposed';
      await handle.close().catch(() => undefined);
      await rm(temporary, { force: true });
    },
  };
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    written += (await handle.write(bytes, written, bytes.length - written)).bytesWritten;
  }
}

/** Makes the rename itself durable. Windows and some network file systems cannot do it; the file is whole either way. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r').catch(() => undefined);
  await directory?.sync().catch(() => undefined);
  await directory?.close();
}

function sinkFailed(path: string, cause: unknown): WeightsError {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  const reason = cause instanceof Error ? cause.message : String(cause);
  const hint = code === 'ENOSPC' ? 'the disk is full' : 'it cannot be written';
  return new WeightsError({
    code: 'SINK_FAILED',
    message: `${path}: ${hint}: ${reason}`,
    cause,
  });
}
