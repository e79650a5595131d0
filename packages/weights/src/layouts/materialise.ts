/** Turns views into bytes: whole tensors pass through untouched, cut ones are copied, strided ones gathered. */
import type { WeightFormat } from '@rwkv-ts/backend';
import {
  bytesFor,
  decode,
  decodeRange,
  formatInfo,
  type FormatName,
  isWeightFormat,
  scaleBlocks,
} from '@rwkv-ts/formats';
import type { ReadOptions } from '../byte-source.js';
import type { RawTensor } from '../raw-file.js';
import { bytesOfF32, f32OfBytes } from './f32-bytes.js';
import type { Piece } from './types.js';
import { elementCount, isContiguous, type TensorView } from './view.js';

/** A tensor that several pieces are cut from is kept between them up to this size; larger ones are read again. */
const largestKept = 64 * 1024 * 1024;

/** Reads raw tensors, keeping one only while further pieces need it. */
export class TensorReader {
  readonly #uses = new Map<RawTensor, number>();
  readonly #kept = new Map<RawTensor, Uint8Array>();

  constructor(pieces: Iterable<Piece>) {
    for (const { parts } of pieces) {
      for (const { tensor } of parts) this.#uses.set(tensor, (this.#uses.get(tensor) ?? 0) + 1);
    }
  }

  /** `shared`: others still need the bytes, so they must be copied before they are given away. */
  async read(
    tensor: RawTensor,
    options: ReadOptions,
  ): Promise<{ bytes: Uint8Array; shared: boolean }> {
    const uses = (this.#uses.get(tensor) ?? 1) - 1;
    this.#uses.set(tensor, uses);
    const kept = this.#kept.get(tensor);
    const bytes = kept ?? (await tensor.read(options));
    const shared = uses > 0 && bytes.length <= largestKept;
    if (shared) this.#kept.set(tensor, bytes);
    else this.#kept.delete(tensor);
    return { bytes, shared };
  }
}

/** Blocks survive only whole: every part contiguous, starting on a block, rows a multiple of the block. */
function keepsBlocks(
  { parts }: Piece,
  { format, width }: { format: FormatName; width: number },
): boolean {
  const { blockSize } = formatInfo(format);
  return (
    blockSize === 1 ||
    (width % blockSize === 0 &&
      parts.every((part) => isContiguous(part) && part.offset % blockSize === 0))
  );
}

/**
 * The format a piece is delivered in: its own where that is a device format and the cut leaves whole blocks, else f32.
 * (A power of two that does not fit a block's scale makes it f32 too; that shows only when the scales are read.)
 */
export function pieceFormat(piece: Piece, shape: readonly number[]): WeightFormat {
  const formats = new Set(piece.parts.map(({ tensor }) => tensor.format));
  const [format] = formats;
  if (formats.size !== 1 || format === undefined || !isWeightFormat(format)) return 'f32';
  return keepsBlocks(piece, { format, width: shape.at(-1) ?? 1 }) ? format : 'f32';
}

/** Copies a strided view element by element, in the order of its shape. */
function gather<Elements extends Uint16Array | Uint32Array | Float32Array>(
  view: TensorView,
  { from, to, at }: { from: Elements; to: Elements; at: number },
): void {
  const { shape, strides, offset } = view;
  const width = shape.at(-1) ?? 1;
  const step = strides.at(-1) ?? 1;
  const outer = shape.slice(0, -1);
  const rows = elementCount(outer);
  for (let row = 0; row < rows; row++) {
    let start = offset;
    for (let axis = outer.length - 1, rest = row; axis >= 0; axis--) {
      start += (rest % outer[axis]!) * strides[axis]!;
      rest = Math.floor(rest / outer[axis]!);
    }
    const target = at + row * width;
    for (let i = 0; i < width; i++) to[target + i] = from[start + i * step]!;
  }
}

/** Typed arrays need their own alignment; a file's bytes may stand anywhere. (`slice` of a Node Buffer would not copy.) */
function aligned(bytes: Uint8Array, width: number): Uint8Array {
  return bytes.byteOffset % width === 0 ? bytes : new Uint8Array(bytes);
}

function gatherPlain(
  view: TensorView,
  {
    source,
    target,
    at,
    width,
  }: { source: Uint8Array; target: Uint8Array; at: number; width: 2 | 4 },
): void {
  const from = aligned(source, width);
  const count = from.length / width;
  const total = target.length / width;
  if (width === 2) {
    const elements = new Uint16Array(from.buffer, from.byteOffset, count);
    gather(view, { from: elements, to: new Uint16Array(target.buffer, 0, total), at });
  } else {
    const elements = new Uint32Array(from.buffer, from.byteOffset, count);
    gather(view, { from: elements, to: new Uint32Array(target.buffer, 0, total), at });
  }
}

export interface Materialised {
  readonly format: WeightFormat;
  readonly bytes: Uint8Array;
}

export interface MaterialiseInput {
  readonly piece: Piece;
  readonly shape: readonly number[];
  readonly reader: TensorReader;
  readonly signal?: AbortSignal | undefined;
}

/** A piece as contiguous bytes of the canonical shape; they belong to the caller. */
export async function materialise({
  piece,
  shape,
  reader,
  signal,
}: MaterialiseInput): Promise<Materialised> {
  const format = pieceFormat(piece, shape);
  const options: ReadOptions = signal ? { signal } : {};
  const [only] = piece.parts;
  const whole =
    piece.parts.length === 1 &&
    only !== undefined &&
    isContiguous(only) &&
    elementCount(only.shape) === elementCount(only.tensor.shape);
  if (whole && only.tensor.format === format) {
    const { bytes, shared } = await reader.read(only.tensor, options);
    return rescale({ format, bytes: shared ? new Uint8Array(bytes) : bytes }, piece.exponent);
  }
  const bytes = piece.parts.every(({ tensor }) => tensor.format === format)
    ? await joinBytes(format, { piece, shape, reader, signal })
    : bytesOfF32(await joinNumbers({ piece, shape, reader, signal }));
  return rescale({ format, bytes }, piece.exponent);
}

/** The parts one after the other, each in the format that all of them have. */
async function joinBytes(
  format: WeightFormat,
  { piece, shape, reader, signal }: MaterialiseInput,
): Promise<Uint8Array> {
  const target = new Uint8Array(bytesFor(format, elementCount(shape)));
  let at = 0;
  for (const part of piece.parts) {
    const { bytes } = await reader.read(part.tensor, signal ? { signal } : {});
    const count = elementCount(part.shape);
    if (isContiguous(part)) {
      const start = bytesFor(format, part.offset);
      target.set(bytes.subarray(start, start + bytesFor(format, count)), bytesFor(format, at));
    } else {
      gatherPlain(part, { source: bytes, target, at, width: format === 'f32' ? 4 : 2 });
    }
    at += count;
  }
  return target;
}

/** The parts as numbers: decoded in place where a part is a run of whole blocks, else by way of the whole tensor. */
async function joinNumbers({
  piece,
  shape,
  reader,
  signal,
}: MaterialiseInput): Promise<Float32Array> {
  const values = new Float32Array(elementCount(shape));
  let at = 0;
  for (const part of piece.parts) {
    const { format } = part.tensor;
    const { bytes } = await reader.read(part.tensor, signal ? { signal } : {});
    const count = elementCount(part.shape);
    const { blockSize } = formatInfo(format);
    if (isContiguous(part) && part.offset % blockSize === 0 && count % blockSize === 0)
      decodeRange({ format, bytes, first: part.offset, count, values, at });
    else gather(part, { from: decode(format, bytes), to: values, at });
    at += count;
  }
  return values;
}

/** Times 2^exponent: in the format itself where no scale rounds, else in f32, where no power of two in use here does. */
function rescale(weight: Materialised, exponent = 0): Materialised {
  if (exponent === 0) return weight;
  const scaled = scaleBlocks(weight.format, weight.bytes, exponent);
  if (scaled.exact) return { format: weight.format, bytes: scaled.bytes };
  const values = f32OfBytes(weight.format, weight.bytes);
  const factor = 2 ** exponent;
  for (let i = 0; i < values.length; i++) values[i] = values[i]! * factor;
  return { format: 'f32', bytes: bytesOfF32(values) };
}
