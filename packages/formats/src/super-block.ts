/**
 * What q4_k and q5_k share: 256 numbers as eight sub-blocks of 32, x = d s q - e m with f16 d and e for the whole block
 * and 6-bit s and m per sub-block. The header is 16 bytes:
 *   0  f16 d
 *   2  f16 e
 *   4  u8  [12] the 6-bit s and m (six-bit-scales.ts)
 */
import { nearest } from './nearest.js';
import { readHalf, writeHalf } from './scale-field.js';
import { searchScaleAndMin, type StepWidths } from './scale-min-search.js';
import { readMinimum, readScale, writeScalesAndMinimums } from './six-bit-scales.js';

const { fround } = Math;
const subBlocks = 8;
const size = 32;

const scales = new Float32Array(subBlocks);
const mins = new Float32Array(subBlocks);
const scaleLevels = new Uint8Array(subBlocks);
const minLevels = new Uint8Array(subBlocks);

function largestOrZero(numbers: Float32Array): number {
  let result = 0;
  for (const number of numbers) if (number > result) result = number;
  return result;
}

/** Each number over a 63rd of the largest, as 6-bit integers. The cast to a byte before the limit is GGML's. */
function quantiseTo63(numbers: Float32Array, largest: number, into: Uint8Array): void {
  const inverse = largest > 0 ? fround(63 / largest) : 0;
  for (let j = 0; j < subBlocks; j++) {
    into[j] = Math.min(63, nearest(fround(inverse * numbers[j]!)) & 255);
  }
}

/** d s and e m of two neighbouring sub-blocks: both products are exact. */
export interface PairScales {
  lowScale: number;
  lowMinimum: number;
  highScale: number;
  highMinimum: number;
}

/** Reads those of sub-blocks 2 `pair` and 2 `pair` + 1 of the block at `at` into `scalesOfPair`, which is reused. */
export function readPairScales(
  scalesOfPair: PairScales,
  { bytes, at, pair }: { readonly bytes: Uint8Array; readonly at: number; readonly pair: number },
): void {
  const d = readHalf(bytes, at);
  const e = readHalf(bytes, at + 2);
  scalesOfPair.lowScale = d * readScale(bytes, at + 4, 2 * pair);
  scalesOfPair.lowMinimum = e * readMinimum(bytes, at + 4, 2 * pair);
  scalesOfPair.highScale = d * readScale(bytes, at + 4, 2 * pair + 1);
  scalesOfPair.highMinimum = e * readMinimum(bytes, at + 4, 2 * pair + 1);
}

export interface SuperBlock {
  readonly values: Float32Array;
  readonly start: number;
  readonly bytes: Uint8Array;
  readonly at: number;
  /** [256] receives the integers. */
  readonly quants: Uint8Array;
}

/**
 * Writes the header and fills `quants`: search each sub-block, store scales and minima at their precision, then round
 * every number once more with what decoding will read. A sub-block whose stored scale is 0 keeps the searched integers.
 */
export function encodeSuperBlock(block: SuperBlock, widths: StepWidths): void {
  const { values, start, bytes, at, quants } = block;
  for (let j = 0; j < subBlocks; j++) {
    const first = size * j;
    searchScaleAndMin(
      { values, start: start + first, quants, quantStart: first, scales, mins, index: j },
      widths,
    );
  }
  const maxScale = largestOrZero(scales);
  const maxMin = largestOrZero(mins);
  quantiseTo63(scales, maxScale, scaleLevels);
  quantiseTo63(mins, maxMin, minLevels);
  const d = writeHalf(bytes, at, fround(maxScale / 63));
  const e = writeHalf(bytes, at + 2, fround(maxMin / 63));
  writeScalesAndMinimums(bytes, at + 4, { scales: scaleLevels, minimums: minLevels });
  for (let j = 0; j < subBlocks; j++) {
    const scale = d * scaleLevels[j]!;
    if (scale === 0) continue;
    const minimum = e * minLevels[j]!;
    for (let i = size * j; i < size * (j + 1); i++) {
      const level = nearest(fround(fround(values[start + i]! + minimum) / scale));
      quants[i] = level < 0 ? 0 : level > widths.levels ? widths.levels : level;
    }
  }
}
