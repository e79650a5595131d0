import type { ByteSource, ReadOptions } from '../byte-source.js';
import { WeightsError } from '../errors.js';

export interface BufferedReaderOptions extends ReadOptions {
  /** Where to start; default 0. */
  readonly offset?: number;
  /** Bytes fetched at a time, and held. Default 64 KiB. */
  readonly bufferBytes?: number;
}

/** Little-endian fields read one after another, as headers without an index need. */
export interface BufferedReader {
  /** Offset of the next byte in the source. */
  readonly position: number;
  /** Bytes between `position` and the end of the source. */
  readonly remaining: number;
  /** `length` bytes, which the caller may keep. @throws WeightsError `READ_OUT_OF_RANGE` before allocating */
  bytes(length: number): Promise<Uint8Array>;
  u8(): Promise<number>;
  u16(): Promise<number>;
  u32(): Promise<number>;
  i32(): Promise<number>;
  u64(): Promise<bigint>;
  /** Moves on without reading. @throws WeightsError `READ_OUT_OF_RANGE` when that would leave the source */
  skip(length: number): void;
}

/** Holds `bufferBytes` at most; longer runs are read straight through. */
export function bufferedReader(
  source: ByteSource,
  { offset = 0, bufferBytes = 64 * 1024, signal }: BufferedReaderOptions = {},
): BufferedReader {
  const readOptions = signal === undefined ? {} : { signal };
  let position = offset;
  let buffer = new Uint8Array(0);
  let view = new DataView(buffer.buffer);
  let bufferStart = offset;

  const requireInside = (length: number) => {
    if (length <= source.size - position) return;
    throw new WeightsError({
      code: 'READ_OUT_OF_RANGE',
      message: `${source.name}: ${length} bytes are needed at offset ${position}, but it ends at ${source.size}; it is truncated or its header is wrong`,
      expected: source.size,
      got: position + length,
    });
  };
  const isBuffered = (length: number) =>
    position >= bufferStart && position + length <= bufferStart + buffer.length;
  const fill = async (length: number) => {
    requireInside(length);
    const bytes = await source.read(
      position,
      Math.max(length, Math.min(bufferBytes, source.size - position)),
      readOptions,
    );
    buffer = new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length);
    view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
    bufferStart = position;
  };
  /** The offset in `view` of the next `length` bytes, which it steps over. */
  const field = async (length: number) => {
    if (!isBuffered(length)) await fill(length);
    position += length;
    return position - length - bufferStart;
  };
  // `view` is looked up after `field`, which may replace it.
  const number =
    <Value>(length: number, get: (at: number) => Value) =>
    async () =>
      get(await field(length));

  return {
    get position() {
      return position;
    },
    get remaining() {
      return source.size - position;
    },
    async bytes(length) {
      requireInside(length);
      if (length > bufferBytes) {
        const bytes = await source.read(position, length, readOptions);
        position += length;
        return bytes;
      }
      const at = await field(length);
      return buffer.slice(at, at + length);
    },
    u8: number(1, (at) => view.getUint8(at)),
    u16: number(2, (at) => view.getUint16(at, true)),
    u32: number(4, (at) => view.getUint32(at, true)),
    i32: number(4, (at) => view.getInt32(at, true)),
    u64: number(8, (at) => view.getBigUint64(at, true)),
    skip(length) {
      requireInside(length);
      position += length;
    },
  };
}
