/** Files of packed weights, written from and mapped as weights. */
import { randomUUID } from 'node:crypto';
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { BackendError } from '@rwkv-ts/backend';
import { Holding, nativeError } from '@rwkv-ts/native';
import { requireLive } from '@rwkv-ts/program';
import type { Engine } from './engine.js';
import type { NativeHandle } from './native.js';
import {
  decodeHead,
  encodeHead,
  invalid,
  type PackedHead,
  type PackedMetadata,
  tensorTable,
} from './packed-file.js';
import { CpuWeights } from './weights.js';

export interface WritePackedOptions {
  /** Kept in the file and given back by `openPacked`. */
  readonly metadata?: PackedMetadata;
  readonly signal?: AbortSignal;
}

/** What is read from the addon and written to the file at once. */
const bufferBytes = 2 ** 23;

/** Whoever opens `path` sees the old file or the whole new one; a failure leaves nothing behind. */
export async function writePackedFile(
  engine: Engine,
  weights: CpuWeights,
  { path, metadata = {}, signal }: WritePackedOptions & { readonly path: string },
): Promise<void> {
  const specs = [...weights.entries()].map(([name, { shape, format, layout }]) => ({
    name,
    shape,
    format,
    layout,
  }));
  const { head, bytes } = encodeHead(specs, { metadata, addon: engine.addon });
  const temporary = `${path}.${randomUUID()}.part`;
  requireUnaborted(signal);
  const file = await open(temporary, 'wx');
  try {
    try {
      await writeWhole(file, bytes, 0);
      await writeTensors(file, head, { engine, weights, signal });
      await file.sync();
    } finally {
      await file.close();
    }
    requireUnaborted(signal);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

/** The tensors follow one another without gaps, so they pass through one buffer. */
async function writeTensors(
  file: FileHandle,
  { tensors, start }: PackedHead,
  parts: { engine: Engine; weights: CpuWeights; signal: AbortSignal | undefined },
): Promise<void> {
  const { engine, weights, signal } = parts;
  const buffer = new Uint8Array(bufferBytes);
  let [position, filled] = [start, 0];
  const flush = async () => {
    requireUnaborted(signal);
    await writeWhole(file, buffer.subarray(0, filled), position);
    position += filled;
    filled = 0;
  };
  for (const [index, { bytes }] of tensors.entries()) {
    for (let done = 0; done < bytes;) {
      if (filled === buffer.length) await flush();
      requireLive(weights.disposed, 'weights handle');
      const part = buffer.subarray(filled, filled + Math.min(bytes - done, buffer.length - filled));
      await engine.addon.readPacked(engine.handle, weights.handle, index, done, part);
      done += part.length;
      filled += part.length;
    }
  }
  await flush();
}

async function writeWhole(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const rest = bytes.length - done;
    done += (await file.write(bytes, done, rest, position + done)).bytesWritten;
  }
}

/** So that the name survives a loss of power, where the system can promise it. */
async function syncFolder(path: string): Promise<void> {
  try {
    await using folder = await open(path, 'r');
    await folder.sync();
  } catch {
    // Windows opens no folders, and some file systems do not sync them.
  }
}

/** `requireOpen` throws once the backend was disposed of. */
export async function openPackedFile(
  engine: Engine,
  { path, requireOpen }: { readonly path: string; readonly requireOpen: () => void },
): Promise<{ readonly weights: CpuWeights; readonly metadata: PackedMetadata }> {
  const facts = await stat(path);
  if (!facts.isFile()) throw invalid('place', 'a file', 'something else');
  requireOpen();
  const { addon } = engine;
  const { mapping, bytes } = await mapFile(engine, { path, size: facts.size });
  const holding = new Holding(engine.memory);
  try {
    requireOpen();
    const read = (offset: number, length: number) => addon.readMapping(mapping, offset, length);
    const head = decodeHead({ bytes, read }, addon);
    const what = `The packed file ${path}`;
    const handle = await holding.allocate({ bytes: head.end - head.start, what }, () =>
      addon.mapWeights(mapping, tensorTable(head)),
    );
    return { weights: weightsOf(engine, { head, handle, holding }), metadata: head.metadata };
  } catch (error) {
    addon.unmapFile(mapping);
    holding.release();
    throw error;
  }
}

function weightsOf(
  engine: Engine,
  { head, ...rest }: { head: PackedHead; handle: NativeHandle; holding: Holding },
): CpuWeights {
  const weights = head.tensors.map(
    ({ name, shape, format, layout, count }, index) =>
      [name, { shape, format, layout, index, count }] as const,
  );
  return new CpuWeights(engine, { mapped: { ...rest, weights: new Map(weights) } });
}

async function mapFile(
  { addon, handle }: Engine,
  { path, size }: { readonly path: string; readonly size: number },
): Promise<{ readonly mapping: NativeHandle; readonly bytes: number }> {
  try {
    return await addon.mapFile(handle, path);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'OUT_OF_MEMORY') {
      throw nativeError(cause, { what: `The packed file ${path}`, got: size });
    }
    if (code !== 'EMPTY' && code !== 'NOT_A_FILE') {
      throw Object.assign(new Error(`${path}: ${message}`, { cause }), { code, path });
    }
    throw invalid('place', 'a file that can be mapped', message, cause);
  }
}

function requireUnaborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw new BackendError({
    code: 'ABORTED',
    message: 'Writing the file of packed weights was aborted.',
    cause: signal.reason,
  });
}
