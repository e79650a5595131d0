import type { ByteSource, ReadOptions } from './byte-source.js';
import { detect, detectBytes } from './containers/detect.js';
import { unknownContainer, unsupported } from './containers/failures.js';
import { openGguf } from './containers/gguf.js';
import { openPth } from './containers/pth.js';
import { openRwkvCpp } from './containers/rwkv-cpp.js';
import { openSafetensors } from './containers/safetensors.js';
import { openSharded } from './containers/sharded.js';
import type { Siblings } from './containers/sharded.js';
import type { Container, RawFile } from './raw-file.js';

export interface OpenRawFileOptions extends ReadOptions {
  /** Opens a file beside this one, given its plain name: needed for sharded models, whose index names the others. */
  readonly siblings?: Siblings;
}

const openers: Record<Container, (source: ByteSource, options: ReadOptions) => Promise<RawFile>> = {
  pth: openPth,
  safetensors: openSafetensors,
  gguf: openGguf,
  'rwkv.cpp': openRwkvCpp,
};

/**
 * Opens any container, decided by its content. Reads headers only; tensors are read when asked for. The file takes over
 * `source`: disposing of the file disposes of it, and so does a failure to open.
 * @throws WeightsError `CONTAINER_UNKNOWN`, `CONTAINER_INVALID`, `CONTAINER_UNSUPPORTED`, `PICKLE_REFUSED`,
 * `READ_OUT_OF_RANGE`, `SOURCE_FAILED`, `ABORTED`
 */
export async function openRawFile(
  source: ByteSource,
  options: OpenRawFileOptions = {},
): Promise<RawFile> {
  try {
    return await openDetected(source, options);
  } catch (error) {
    await source[Symbol.asyncDispose]();
    throw error;
  }
}

async function openDetected(
  source: ByteSource,
  { siblings, signal }: OpenRawFileOptions,
): Promise<RawFile> {
  const readOptions = signal === undefined ? {} : { signal };
  const head = await source.read(0, Math.min(source.size, detectBytes), readOptions);
  const found = detect(head);
  if ('unknown' in found) throw unknownContainer(source.name, found.unknown);
  if ('unsupported' in found) throw unsupported(source.name, found.unsupported);
  if (found.container !== 'index') return openers[found.container](source, readOptions);
  return openSharded(source, {
    ...readOptions,
    ...(siblings === undefined ? {} : { siblings }),
    // A shard is no index itself: it gets no siblings.
    open: (shard) => openRawFile(shard, readOptions),
  });
}
