/**
 * Sampling from the likeliest tokens of a row and the mass of all of it, where that decides the token: the same one, to
 * the bit, that the whole row gives.
 *
 * What is not listed is known by a bound: no logit there is above the smallest listed one, and penalties and biases only
 * make of it what they make of that. So every listed token above the bound is certain, and so is every step that only
 * such tokens take part in; the mass lies between two numbers, and top-p is certain where both keep the same tokens.
 */
import { SamplerError } from './errors.js';
import { exponential, naturalLogarithm } from './exponential.js';
import type { TokenLogprob } from './likeliest.js';
import type { ResolvedOptions } from './options.js';
import type { Scratch } from './scratch.js';
import { keepAtLeast, keepLargest, keepTypical, selectByMass, weigh } from './truncate.js';

/** How far the mass that came with candidates may be off, relatively: what the contract of `top-k` allows. */
const massError = 1e-5;

/** The `count` largest logits of a row, their tokens, and Σ exp(logit - largest): [2 count + 1], as `top-k` has it. */
export type CandidateRow = Float32Array | Float64Array;

/** Throws `LOGITS_LENGTH`, `TypeError`. */
export function candidateCount(row: CandidateRow, vocabularySize: number): number {
  if (!(row instanceof Float32Array) && !(row instanceof Float64Array)) {
    throw new TypeError('expected the candidates as a Float32Array or a Float64Array');
  }
  const count = (row.length - 1) / 2;
  if (Number.isInteger(count) && count >= 1 && count <= vocabularySize) return count;
  throw new SamplerError({
    code: 'LOGITS_LENGTH',
    message: `expected 2 n + 1 numbers for n of ${vocabularySize} candidates, got ${row.length}`,
    expected: 2 * vocabularySize + 1,
    got: row.length,
  });
}

/** Whether such options ever let candidates decide: all that could be drawn must be among them. */
export function candidatesCanDecide(
  { temperature, topK, topP, minP, topLogprobs }: ResolvedOptions,
  { size, count }: { size: number; count: number },
): boolean {
  if (count >= size) return true;
  if (topLogprobs > count) return false;
  return temperature === 0 || topP < 1 || minP > 0 || (topK > 0 && topK <= count);
}

/** The adjusted distribution as far as candidates tell. */
export interface Known {
  /** The certain tokens, in the lists of the scratch memory by ascending id. */
  length: number;
  maximum: number;
  /** Every other token's logit is at most this. -Infinity: there is no other. */
  bound: number;
  /** The mass relative to `maximum` is no less, and no more. */
  leastMass: number;
  mostMass: number;
}

/** Puts the candidates into `scratch.row`, and the bound where `tokens` may be asked for others. */
export function spread(
  scratch: Scratch,
  row: CandidateRow,
  { count, others }: { count: number; others: readonly Iterable<number>[] },
): void {
  const limit = limitOf(scratch, row, count);
  for (const tokens of others) for (const token of tokens) scratch.row[token] = limit;
  for (let n = 0; n < count; n++) scratch.row[row[count + n]!] = row[n]!;
}

/** No logit outside the list is above it. */
const limitOf = (scratch: Scratch, row: CandidateRow, count: number): number =>
  count < scratch.row.length ? row[count - 1]! : -Infinity;

/** Fills `into` after the first `changed` tokens were changed; false where the likeliest token is not certain. */
export function adjust(
  scratch: Scratch,
  row: CandidateRow,
  { count, changed, into }: { count: number; changed: number; into: Known },
): boolean {
  const limit = limitOf(scratch, row, count);
  let bound = limit;
  for (let at = 0; at < changed; at++) {
    const logit = scratch.changedAdjusted[at]!;
    // A listed token as large as the limit counts as one that is not listed: that only makes less certain.
    if (scratch.changedRaw[at]! > limit) scratch.row[scratch.changed[at]!] = logit;
    else bound = Math.max(bound, logit);
  }
  let maximum = -Infinity;
  let length = 0;
  for (let n = 0; n < count; n++) {
    const token = row[count + n]!;
    const logit = scratch.row[token]!;
    if (!(logit > bound)) continue;
    scratch.tokens[length++] = token;
    if (logit > maximum) maximum = logit;
  }
  if (length === 0) return false;
  scratch.tokens.subarray(0, length).sort();
  for (let at = 0; at < length; at++) scratch.logits[at] = scratch.row[scratch.tokens[at]!]!;
  into.length = length;
  into.maximum = maximum;
  into.bound = bound;
  return boundMass(scratch, row, { count, changed, limit, into });
}

function boundMass(
  scratch: Scratch,
  row: CandidateRow,
  parts: { count: number; changed: number; limit: number; into: Known },
): boolean {
  const { count, changed, limit, into } = parts;
  const { maximum } = into;
  const whole = row[2 * count]! * exponential(row[0]! - maximum);
  let least = whole * (1 - massError);
  let most = whole * (1 + massError);
  for (let at = 0; at < changed; at++) {
    const before = exponential(scratch.changedRaw[at]! - maximum);
    const after = exponential(scratch.changedAdjusted[at]! - maximum);
    if (scratch.changedRaw[at]! > limit) {
      least += after - before;
      most += after - before;
    } else {
      least -= before;
      most += after;
    }
  }
  into.leastMass = Math.max(least, 1 - massError);
  into.mostMass = most;
  return most < Infinity && least <= most;
}

/** As `truncate` of the whole row, of what is certain; -1 where the rest could matter. */
export function truncateKnown(scratch: Scratch, known: Known, options: ResolvedOptions): number {
  const { maximum, bound, leastMass, mostMass } = known;
  const { topP, minP, typicalP } = options;
  const topK = options.topK > 0 ? options.topK : Infinity;
  const floor = minP > 0 ? maximum + naturalLogarithm(minP) : -Infinity;
  let { length } = known;
  let isWhole = bound === -Infinity;
  if (floor > bound) {
    length = keepAtLeast(scratch, length, floor);
    isWhole = true;
  }
  if (length >= topK) {
    if (length > topK) length = keepLargest(scratch, length, topK);
    isWhole = true;
  }
  const mass = weigh(scratch, length, maximum);
  if (topP < 1 && mass >= topP * leastMass) {
    if (mass < topP * mostMass) return -1;
    const lowest = selectByMass(scratch, length, topP * mostMass);
    if (lowest !== selectByMass(scratch, length, topP * leastMass)) return -1;
    length = keepAtLeast(scratch, length, lowest);
  } else if (!isWhole) return -1;
  return typicalP < 1 ? keepTypical(scratch, length, maximum, typicalP) : length;
}

/** As `Likeliest.find` of the whole row. */
export function likeliestOf(row: CandidateRow, count: number, wanted: number): TokenLogprob[] {
  const logMass = naturalLogarithm(row[2 * count]!);
  const found: TokenLogprob[] = [];
  for (let n = 0; n < wanted && row[n]! > -Infinity; n++) {
    found.push({ token: row[count + n]!, logprob: row[n]! - row[0]! - logMass });
  }
  return found;
}
