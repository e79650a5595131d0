/**
 * The total mass of a row, Σ exp(x - reference), at about one nanosecond a logit.
 *
 * Reading a logit and calling `Math.exp` costs six times as much, so the loop looks the exponential up in a table of
 * steps 1/256 and corrects with a quadratic. It has no branch per logit: an index outside the table is masked, and the
 * block of 64 logits in which that happened (-Infinity, NaN, far too low, above the reference) is done again with care.
 */
import { exponentialTable, stepsPerNat, tableSize } from './exponential.js';

/** Logits per block; each block has its own sum, which bounds its largest member and so lets searches skip it. */
export const blockSize = 64;

/**
 * exp(f / 256) on -1 <= f <= 0, through the three Chebyshev nodes of the interval: the Taylor series with
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

/**
 * Block sums of exp(logit - reference) into `sums`, and their total. NaN if a logit is NaN; +Infinity if one is above
 * the reference (by more than 1/256 of a nat: the caller compares the maximum). `row` has `length` [V] logits.
 */
export function sumBlocks(
  row: Float64Array,
  length: number,
  reference: number,
  sums: Float64Array,
): number {
  const entries = exponentialTable();
  const blocks = Math.floor(length / blockSize);
  let total = 0;
  for (let block = 0; block < blocks; block++) {
    const first = block * blockSize;
    let sum = sumWholeBlock(row, first, reference, entries);
    if (sum < 0) sum = sumCarefully(row, first, first + blockSize, reference, 1, entries);
    sums[block] = sum;
    total += sum;
  }
  if (blocks * blockSize < length) {
    const sum = sumCarefully(row, blocks * blockSize, length, reference, 1, entries);
    sums[blocks] = sum;
    total += sum;
  }
  return total;
}

/**
 * One block of 64, or -1 if a logit of it needs `sumCarefully`. Two checks catch every such logit: a bit outside the
 * mask, and (for distances beyond 2^31, whose index wraps, and for NaN and infinities) the quadratic part, which is
 * never positive for a rest in [-1, 0] and is huge or NaN for a rest that is not.
 */
function sumWholeBlock(
  row: Float64Array,
  first: number,
  reference: number,
  entries: Float64Array,
): number {
  // Local literals: the engine folds these into the loop, but loads a module's constants again for every logit.
  const constant = 0.9999999996900139;
  const linear = 0.0039062444199468396;
  const quadratic = 7.614509740960784e-6;
  const indexMask = 32767; // tableSize - 1
  let even = 0;
  let odd = 0;
  let parts = 0;
  let indices = 0;
  const end = first + blockSize;
  for (let at = first; at < end; at += 4) {
    const position0 = (reference - row[at]!) * 256;
    const position1 = (reference - row[at + 1]!) * 256;
    const position2 = (reference - row[at + 2]!) * 256;
    const position3 = (reference - row[at + 3]!) * 256;
    const index0 = position0 | 0;
    const index1 = position1 | 0;
    const index2 = position2 | 0;
    const index3 = position3 | 0;
    const rest0 = index0 - position0;
    const rest1 = index1 - position1;
    const rest2 = index2 - position2;
    const rest3 = index3 - position3;
    const part0 = rest0 * (linear + rest0 * quadratic);
    const part1 = rest1 * (linear + rest1 * quadratic);
    const part2 = rest2 * (linear + rest2 * quadratic);
    const part3 = rest3 * (linear + rest3 * quadratic);
    even += entries[index0 & indexMask]! * (constant + part0);
    odd += entries[index1 & indexMask]! * (constant + part1);
    even += entries[index2 & indexMask]! * (constant + part2);
    odd += entries[index3 & indexMask]! * (constant + part3);
    parts += part0 + part1 + (part2 + part3);
    indices |= index0 | index1 | (index2 | index3);
  }
  return (indices & ~indexMask) === 0 && parts <= 0 ? even + odd : -1;
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
