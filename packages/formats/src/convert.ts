/**
 * The uploader's rule: a weight in a format the backend does not claim goes to the nearest claimed one that loses nothing.
 *
 * "Loses nothing": decoding the result gives the same f32 numbers, bit for bit, as decoding the original (NaN payloads
 * aside). "Nearest": fewest bytes. Never is anything quantised again.
 */
import type { WeightFormat } from '@rwkv-ts/backend';
import { decodeRange } from './decode.js';
import { encodeRange } from './encode.js';
import { FormatsError } from './errors.js';
import { isWeightFormat, type FormatName } from './formats.js';
import { repack } from './repack.js';
import { bytesForShape, countOf, expectLength } from './size.js';

const ternary: readonly WeightFormat[] = ['q4_0', 'q5_0', 'q8_0', 'f32'];
const wide: readonly WeightFormat[] = ['f32'];

/** Formats that hold every weight of a format, whatever its numbers, nearest first. Missing: f32 alone. */
const holders: Partial<Record<FormatName, readonly WeightFormat[]>> = {
  q1_0: ternary,
  q2_0: ternary,
  tq1_0: ternary,
  tq2_0: ternary,
  q4_0: ['q5_0', 'q8_0', 'f32'],
  q5_0: ['q8_0', 'f32'],
  q8_1: ['q8_0', 'f32'],
  iq4_nl: ['q8_0', 'f32'],
  q4_1: ['q5_1', 'f32'],
  q4_k: ['q5_k', 'f32'],
  // f32 does not hold all of these numbers.
  f64: [],
  i32: [],
  i64: [],
};

/**
 * The claimed format that holds any weight of `format` without loss, nearest first: itself, then a wider block with the
 * same scales and integers, then f32. Undefined where there is none: nothing but itself holds all of f64, i32, i64, and
 * whether f16 or bf16 hold a weight depends on its numbers (`convertFormat` looks).
 */
export function losslessTarget(
  format: FormatName,
  claimed: ReadonlySet<WeightFormat>,
): WeightFormat | undefined {
  if (isWeightFormat(format) && claimed.has(format)) return format;
  return (holders[format] ?? wide).find((candidate) => claimed.has(candidate));
}

/** A weight without its name. A `HostWeight` is one. */
export interface EncodedWeight<Format extends FormatName = FormatName> {
  readonly format: Format;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

const chunkSize = 4096;
const chunk = new Float32Array(chunkSize);
const back = new Float32Array(chunkSize);

function sameNumbers(count: number): boolean {
  for (let i = 0; i < count; i++) if (!Object.is(chunk[i], back[i])) return false;
  return true;
}

/** By way of f32, a chunk at a time; undefined as soon as a number does not survive. */
function transcode(
  { format, bytes, shape }: EncodedWeight,
  target: WeightFormat,
): Uint8Array | undefined {
  const total = countOf(shape);
  const out = new Uint8Array(bytesForShape(target, shape));
  for (let first = 0; first < total; first += chunkSize) {
    const count = Math.min(chunkSize, total - first);
    decodeRange({ format, bytes, first, count, values: chunk, at: 0 });
    const range = { format: target, bytes: out, first, count, at: 0 };
    encodeRange({ ...range, values: chunk });
    if (target === 'f32') continue;
    decodeRange({ ...range, values: back });
    if (!sameNumbers(count)) return undefined;
  }
  return out;
}

/** f16 or bf16 where the numbers happen to fit: weights widened to f32 by some converter usually do. */
function narrowed(
  weight: EncodedWeight,
  claimed: ReadonlySet<WeightFormat>,
): EncodedWeight<WeightFormat> | undefined {
  if (holders[weight.format]?.length === 0) return undefined;
  for (const format of ['bf16', 'f16'] as const) {
    const bytes = claimed.has(format) ? transcode(weight, format) : undefined;
    if (bytes !== undefined) return { format, shape: weight.shape, bytes };
  }
  return undefined;
}

/**
 * The weight in a claimed format: as it is (the same `bytes`) where its own is claimed, else in `losslessTarget`, else in
 * f16 or bf16 where every number fits, else an error.
 * @param weight `bytes` is not modified.
 * @throws FormatsError `FORMAT_NO_LOSSLESS_TARGET`, `FORMAT_SIZE_MISMATCH`, `FORMAT_BLOCK_MISMATCH`, `FORMAT_SIZE_INVALID`, `FORMAT_UNKNOWN`
 */
export function convertFormat(
  weight: EncodedWeight,
  claimed: ReadonlySet<WeightFormat>,
): EncodedWeight<WeightFormat> {
  const { format, shape, bytes } = weight;
  const size = bytesForShape(format, shape);
  expectLength(`bytes for [${shape.join(', ')}] of ${format}`, size, bytes.length);
  const target = losslessTarget(format, claimed);
  if (target === format) return { format: target, shape, bytes };
  if (target !== undefined) {
    const converted = repack(format, target, bytes) ?? transcode(weight, target);
    if (converted !== undefined) return { format: target, shape, bytes: converted };
  }
  const narrow = narrowed(weight, claimed);
  if (narrow !== undefined) return narrow;
  throw new FormatsError({
    code: 'FORMAT_NO_LOSSLESS_TARGET',
    message: `None of [${[...claimed].join(', ')}] holds this ${format} weight without loss; claim f32, or decode it yourself.`,
    expected: [...claimed],
    got: format,
  });
}
