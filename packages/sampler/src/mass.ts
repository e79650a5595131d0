/**
 * The total mass of a row, Σ exp(x - reference), at about one nanosecond a logit.
 *
 * Reading a logit and calling `Math.exp` costs seven times as much, so the loop looks the exponential up in a table of
 * steps 1/256 and corrects with a quadratic. It has no branch per logit: an index outside the table is masked, and the
 * block of 64 logits in which that happened (-Infinity, NaN, far too low, above the reference) is done again with care.
 */
import { exponentialTable, stepsPerNat, tableSize } from './exponential.js';
import { largestVocabulary } from './options.js';

/** Logits per block; each block has its own sum, which bounds its largest member and so lets searches skip it. */
export const blockSize = 64;

/**
 * For `sumCarefully`: exp(f / 256) on -1 <= f <= 0, through the three Chebyshev nodes of the interval: the Taylor series with
 * f^3 replaced by -(3/2 f^2 + 9/16 f + 1/32), and f^4 likewise. The error is at most (1/256)^3 / 192 = 3.2e-10 of the
 * value, of alternating sign; a sum over many logits comes out far closer.
 */
const constant = 0.9999999996900139; // 1 - h^3/192 + h^4/512, with h = 1/256
const linear = 0.0039062444199468396; // h - 3/32 h^3 + 13/384 h^4
const quadratic = 7.614509740960784e-6; // h^2/2 - h^3/4 + 9/128 h^4

/** `maskedLogit(reference)` is in the table, yet so low that all of a vocabulary there weighs under 1e-30 of the rest. */
export function maskedLogit(reference: number): number {
  return reference - 120;
}

/**
 * The references rows are summed against: multiples of 32. A guess is right for any row whose maximum lies in the 32
 * below it, so no pass to find the maximum is needed first, and the sum does not depend on which guess came first.
 * Logits more than 96 below the maximum count as nothing: even 2^20 of them weigh under 1e-35.
 */
export function referenceFor(maximum: number): number {
  const multiple = Math.ceil(maximum / 32) * 32;
  // A denormal maximum vanishes in the division.
  return multiple < maximum ? multiple + 32 : multiple;
}

/** Up to here, and far beyond, the arithmetic of `sumWholeBlock` on references is exact. */
const largestQuickReference = 2 ** 40;

/** The memory that rows are summed in, shared by all samplers, and the sum itself. */
export interface RowSummer {
  /** [2^20] the row comes to its front. */
  readonly row: Float64Array;
  /** [2^20 / 64] the mass of each block. */
  readonly sums: Float64Array;
  /**
   * Block sums of exp(logit - reference) over the first `length` logits of `row` into `sums`, and their total. NaN if a
   * logit is NaN; +Infinity if one is above the reference (by more than 1/512 of a nat: the caller compares the maximum).
   */
  readonly sumBlocks: (length: number, reference: number) => number;
}

let summer: RowSummer | undefined;

/** The one summer there is; made on first use, when pages of its memory cost nothing until a row reaches them. */
export function rowSummer(): RowSummer {
  return (summer ??= createSummer());
}

/**
 * Called once. The arrays are constants of a closure that exists once, so the engine compiles their addresses and
 * lengths into the loop; as parameters, or as the module's variables that bundlers make of constants, they cost half as
 * much again as the arithmetic.
 */
function createSummer(): RowSummer {
  const row = new Float64Array(largestVocabulary);
  const sums = new Float64Array(largestVocabulary / blockSize);
  const entries = exponentialTable();
  const biased = new Float32Array(blockSize);
  const words = new Int32Array(biased.buffer);

  /**
   * One block of 64, or -1 if a logit of it needs `sumCarefully`.
   *
   * A float32 from 2^15 to 2^16 has steps of 1/256. So 1.5 · 2^15 plus the distance, rounded to float32, is the distance
   * in table steps, and the low bits of its word are the table's index: far cheaper than two conversions between double
   * and integer. What rounding took off, at most 1/512 either way, goes through exp(e) = 1 + (1 + a²/8) e + e²/2 with
   * a = 1/512: the Taylor series with its cubic spread by a Chebyshev polynomial; the error is a³/24 = 3.1e-10 of the
   * value, of alternating sign. A distance outside the table, infinite or NaN has other high bits.
   */
  const sumWholeBlock = (first: number, reference: number): number => {
    const linear = 1.000000476837158203125;
    const wordOfZero = 0x47400000; // of 49152 = 1.5 · 2^15
    const indexMask = 32767; // tableSize - 1
    const bias = reference + 49152;
    let even = 0;
    let odd = 0;
    let strange = 0;
    for (let at = 0; at < 64; at += 2) {
      const logit0 = row[first + at]!;
      const logit1 = row[first + at + 1]!;
      const rounded0 = Math.fround(bias - logit0);
      const rounded1 = Math.fround(bias - logit1);
      biased[at] = rounded0;
      biased[at + 1] = rounded1;
      const rest0 = rounded0 - bias + logit0;
      const rest1 = rounded1 - bias + logit1;
      const word0 = words[at]!;
      const word1 = words[at + 1]!;
      strange |= (word0 ^ wordOfZero) | (word1 ^ wordOfZero);
      even += entries[word0 & indexMask]! * (1 + rest0 * (linear + rest0 * 0.5));
      odd += entries[word1 & indexMask]! * (1 + rest1 * (linear + rest1 * 0.5));
    }
    return (strange & ~indexMask) === 0 ? even + odd : -1;
  };

  const sumBlocks = (length: number, reference: number): number => {
    const wholeBlocks = Math.abs(reference) <= largestQuickReference ? Math.floor(length / 64) : 0;
    let total = 0;
    for (let block = 0; block * 64 < length; block++) {
      const first = block * 64;
      let sum = block < wholeBlocks ? sumWholeBlock(first, reference) : -1;
      if (sum < 0) {
        sum = sumCarefully(row, first, Math.min(first + 64, length), reference, 1, entries);
      }
      sums[block] = sum;
      total += sum;
    }
    return total;
  };

  return { row, sums, sumBlocks };
}

/**
 * Σ exp(inverseTemperature · (logit - reference)) over `first <= at < end`, any values allowed: NaN if one is NaN,
 * +Infinity if one is above the reference.
 */
export function sumCarefully(
  row: Float64Array,
  first: number,
  end: number,
  reference: number,
  inverseTemperature: number,
  entries: Float64Array,
): number {
  const scale = stepsPerNat * inverseTemperature;
  let sum = 0;
  for (let at = first; at < end; at++) {
    const position = (reference - row[at]!) * scale;
    if (!(position >= 0)) return position < 0 ? Infinity : NaN;
    if (position >= tableSize) continue;
    const index = position | 0;
    const rest = index - position;
    sum += entries[index]! * (constant + rest * (linear + rest * quadratic));
  }
  return sum;
}
