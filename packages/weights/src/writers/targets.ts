/**
 * The way back: tensors of a file layout as recipes over canonical weights, and the streaming of one into the other.
 * A file's header comes before its data, so the order in which tensors become complete is worked out first.
 */
import type { HostWeight, WeightFormat } from '@rwkv-ts/backend';
import { bytesForShape, countOf, decode, decodeRange, encode } from '@rwkv-ts/formats';
import type { RwkvConfig } from '@rwkv-ts/model';
import { WeightsError } from '../errors.js';
import { firstNonFinite } from '../finite.js';
import type { ModelFile, WeightsProgress } from '../model-file.js';

/** What writers take: a `ModelFile`, or anything that streams canonical weights in the order of `tensors`. */
export interface WritableModel {
  readonly config: RwkvConfig;
  readonly tensors: readonly Pick<ModelFile['tensors'][number], 'name' | 'shape' | 'format'>[];
  weights(options?: { readonly signal?: AbortSignal }): AsyncIterable<HostWeight>;
}

export interface WriteProgressOptions {
  readonly signal?: AbortSignal;
  /** Bytes are those written. */
  readonly onProgress?: (progress: WeightsProgress) => void;
}

/** A tensor of the file: canonical weights, each changed or not, one after the other. */
export interface Target {
  readonly name: string;
  /** Row-major. */
  readonly shape: readonly number[];
  /** Canonical names, in the order in which their numbers follow each other. */
  readonly from: readonly string[];
  /** Applied to each weight on its own, in f32. None: the numbers pass as they are. */
  readonly change?: (values: Float32Array, shape: readonly number[]) => Float32Array;
  /** Applied to all together, after `change`. Default: one after the other. */
  readonly join?: (parts: readonly Float32Array[]) => Float32Array;
}

export interface PlacedTarget extends Target {
  readonly format: WeightFormat;
  readonly byteLength: number;
}

/** [a, b] to [b, a]. */
export function transposedValues(values: Float32Array, shape: readonly number[]): Float32Array {
  const [rows, columns] = shape as readonly [number, number];
  const result = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      result[column * rows + row] = values[row * columns + column]!;
    }
  }
  return result;
}

/** The order in which targets become complete as the model streams. */
export function emissionOrder(model: WritableModel, targets: readonly Target[]): readonly Target[] {
  const waiting = new Map<string, Target[]>();
  const missing = new Map<Target, number>();
  for (const target of targets) {
    const names = new Set(target.from);
    missing.set(target, names.size);
    for (const name of names) waiting.set(name, [...(waiting.get(name) ?? []), target]);
  }
  const order: Target[] = [];
  for (const { name } of model.tensors) {
    for (const target of waiting.get(name) ?? []) {
      const left = missing.get(target)! - 1;
      missing.set(target, left);
      if (left === 0) order.push(target);
    }
  }
  if (order.length !== targets.length) {
    const lost = targets.find((target) => missing.get(target)! > 0)!;
    throw new WeightsError({
      code: 'TENSOR_MISSING',
      message: `${lost.name} needs ${lost.from.join(', ')}, which the model does not list.`,
      expected: lost.from,
    });
  }
  return order;
}

/**
 * Numbers decoded and encoded at a time: a multiple of every block, and a few tens of milliseconds in the slowest format,
 * after which an abort is heard and progress shows.
 */
const pieceSize = 1 << 16;

/** One piece of a target's bytes, in order. */
interface Piece {
  readonly bytes: Uint8Array;
  /** The piece's first number. */
  readonly first: number;
}

/** One weight in another format. @throws FormatsError `FORMAT_NOT_ENCODABLE` */
function* transcode({ format, shape, bytes }: HostWeight, target: WeightFormat): Generator<Piece> {
  const total = countOf(shape);
  const values = new Float32Array(Math.min(pieceSize, total));
  for (let first = 0; first < total; first += pieceSize) {
    const count = Math.min(pieceSize, total - first);
    decodeRange({ format, bytes, first, count, values, at: 0 });
    yield { bytes: encode(target, values.subarray(0, count)), first };
  }
}

function* encodePieces(values: Float32Array, format: WeightFormat): Generator<Piece> {
  for (let first = 0; first < values.length; first += pieceSize) {
    yield { bytes: encode(format, values.subarray(first, first + pieceSize)), first };
  }
}

function piecesOf(target: PlacedTarget, weights: ReadonlyMap<string, HostWeight>): Iterable<Piece> {
  const only = weights.get(target.from[0]!)!;
  if (target.from.length === 1 && !target.change && !target.join) {
    if (only.format === target.format) return [{ bytes: only.bytes, first: 0 }];
    return transcode(only, target.format);
  }
  const parts = target.from.map((name) => {
    const weight = weights.get(name)!;
    const values = decode(weight.format, weight.bytes);
    return target.change ? target.change(values, weight.shape) : values;
  });
  return encodePieces(target.join ? target.join(parts) : concatenated(parts), target.format);
}

export function concatenated(parts: readonly Float32Array[]): Float32Array {
  const result = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}

/** A number beyond f16's range would become infinity silently. */
function expectHeld({ name, format }: PlacedTarget, { bytes, first }: Piece): void {
  const bad = firstNonFinite(format, bytes);
  if (bad < 0) return;
  throw new WeightsError({
    code: 'TENSOR_VALUES',
    message: `${name} holds a number at ${first + bad} that ${format} cannot hold; write it as f32 or bf16.`,
    expected: `numbers in the range of ${format}`,
    got: first + bad,
  });
}

export function place(target: Target, format: WeightFormat): PlacedTarget {
  return { ...target, format, byteLength: bytesForShape(format, target.shape) };
}

export interface StreamTargetsOptions extends WriteProgressOptions {
  /** Zero bytes after a target of so many bytes. Default none. */
  readonly padding?: (byteLength: number) => number;
}

/**
 * Yields the placed targets' bytes, piece by piece, in the given order, which must be that of `emissionOrder`.
 * @throws WeightsError `TENSOR_VALUES`, `TENSOR_MISSING`, `ABORTED`, and what reading throws
 */
export async function* streamTargets(
  model: WritableModel,
  placed: readonly PlacedTarget[],
  { signal, onProgress, padding = () => 0 }: StreamTargetsOptions,
): AsyncGenerator<Uint8Array> {
  const uses = new Map<string, number>();
  for (const { from } of placed) {
    for (const name of new Set(from)) uses.set(name, (uses.get(name) ?? 0) + 1);
  }
  const bytesTotal = placed.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const held = new Map<string, HostWeight>();
  const turns = new Turns(signal);
  let next = 0;
  let bytes = 0;
  for await (const weight of model.weights(signal ? { signal } : {})) {
    if (!uses.has(weight.name)) continue;
    held.set(weight.name, weight);
    for (
      let target = placed[next];
      target?.from.every((name) => held.has(name));
      target = placed[next]
    ) {
      const end = bytes + target.byteLength;
      for (const piece of piecesOf(target, held)) {
        expectHeld(target, piece);
        yield piece.bytes;
        bytes += piece.bytes.length;
        onProgress?.({ tensors: next, tensorsTotal: placed.length, bytes, bytesTotal });
        await turns.next();
      }
      if (bytes !== end) {
        throw new TypeError(
          `${target.name} must have ${target.byteLength} bytes, got ${target.byteLength + bytes - end}.`,
        );
      }
      const gap = padding(target.byteLength);
      if (gap > 0) yield new Uint8Array(gap);
      for (const name of new Set(target.from)) release(name, { uses, held });
      next++;
      onProgress?.({ tensors: next, tensorsTotal: placed.length, bytes, bytesTotal });
    }
  }
  if (next < placed.length) {
    throw new WeightsError({
      code: 'TENSOR_MISSING',
      message: `The model's weights ended before ${placed[next]!.name} could be written.`,
      expected: placed.length,
      got: next,
    });
  }
}

/** Milliseconds of work between turns of the event loop. */
const turnInterval = 20;

/** Gives the event loop a turn now and then, so that an abort is heard. */
class Turns {
  readonly #signal: AbortSignal | undefined;
  #last = performance.now();

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal;
  }

  /** @throws WeightsError `ABORTED` */
  async next(): Promise<void> {
    if (performance.now() - this.#last > turnInterval) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      this.#last = performance.now();
    }
    if (this.#signal?.aborted !== true) return;
    throw new WeightsError({
      code: 'ABORTED',
      message: 'Writing was aborted.',
      cause: this.#signal.reason,
    });
  }
}

function release(
  name: string,
  { uses, held }: { uses: Map<string, number>; held: Map<string, HostWeight> },
): void {
  const left = uses.get(name)! - 1;
  uses.set(name, left);
  if (left === 0) held.delete(name);
}

export function unsupported(
  message: string,
  { expected, got }: { expected: unknown; got: unknown },
): never {
  throw new WeightsError({ code: 'WRITE_UNSUPPORTED', message, expected, got });
}
