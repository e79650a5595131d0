/** Finds NaN and infinity fast: by exponent bits in plain formats, by the scales in block formats. */
import type { WeightFormat } from '@rwkv-ts/backend';
import { f16ToF32, formatInfo } from '@rwkv-ts/formats';
import { WeightsError } from './errors.js';
import { littleEndian } from './layouts/f32-bytes.js';

/** Where a block format keeps its f16 scales and minima, in bytes from the start of a block. */
const scaleOffsets: Readonly<Partial<Record<WeightFormat, readonly number[]>>> = {
  q8_0: [0],
  q4_0: [0],
  q4_1: [0, 2],
  q5_0: [0],
  q5_1: [0, 2],
  q4_k: [0, 2],
  q5_k: [0, 2],
  q6_k: [208],
};

/** The index of the first f32 whose exponent is all ones, or -1. */
function scanWords(words: Uint32Array): number {
  for (let i = 0; i < words.length; i++) {
    if ((words[i]! & 0x7f800000) === 0x7f800000) return i;
  }
  return -1;
}

/** Two 16-bit numbers a step. Returns the index of the first 16-bit number whose exponent is all ones, or -1. */
function scanPairs(words: Uint32Array, mask: number): number {
  const high = (mask << 16) >>> 0;
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if ((word & mask) === mask) return 2 * i;
    if ((word & high) >>> 0 === high) return 2 * i + 1;
  }
  return -1;
}

/** A byte pair at a time: any alignment, any host. */
function scanBytes(bytes: Uint8Array, { width, mask }: { width: 2 | 4; mask: number }): number {
  for (let at = width - 2, index = 0; at < bytes.length; at += width, index++) {
    if (((bytes[at]! | (bytes[at + 1]! << 8)) & mask) === mask) return index;
  }
  return -1;
}

function scanPlain(format: 'f32' | 'f16' | 'bf16', bytes: Uint8Array): number {
  const mask = format === 'f16' ? 0x7c00 : 0x7f80;
  const width = format === 'f32' ? 4 : 2;
  if (!littleEndian || bytes.byteOffset % 4 !== 0) return scanBytes(bytes, { width, mask });
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
  if (format === 'f32') return scanWords(words);
  const found = scanPairs(words, mask);
  if (found >= 0 || bytes.length % 4 === 0) return found;
  const last = scanBytes(bytes.subarray(bytes.length - 2), { width: 2, mask });
  return last < 0 ? -1 : bytes.length / 2 - 1;
}

function scanScales(format: WeightFormat, bytes: Uint8Array): number {
  const { bytesPerBlock, blockSize } = formatInfo(format);
  const offsets = scaleOffsets[format] ?? [];
  for (let start = 0, block = 0; start < bytes.length; start += bytesPerBlock, block++) {
    for (const offset of offsets) {
      const half = bytes[start + offset]! | (bytes[start + offset + 1]! << 8);
      if (!Number.isFinite(f16ToF32(half))) return block * blockSize;
    }
  }
  return -1;
}

/** The index of the first number that is not finite (the first of its block in block formats), or -1. */
export function firstNonFinite(format: WeightFormat, bytes: Uint8Array): number {
  return format === 'f32' || format === 'f16' || format === 'bf16'
    ? scanPlain(format, bytes)
    : scanScales(format, bytes);
}

export interface FiniteCheck {
  readonly name: string;
  readonly from: readonly string[];
  readonly format: WeightFormat;
  readonly bytes: Uint8Array;
}

/** @throws WeightsError `TENSOR_VALUES` */
export function expectFinite({ name, from, format, bytes }: FiniteCheck): void {
  const index = firstNonFinite(format, bytes);
  if (index < 0) return;
  throw new WeightsError({
    code: 'TENSOR_VALUES',
    message: `${from.join(' + ')} (${name}) holds a NaN or an infinity at element ${index}; the file is damaged, or was saved from a diverged training run.`,
    expected: 'finite numbers',
    got: index,
  });
}
