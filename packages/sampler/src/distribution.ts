/**
 * From a row of logits to the two distributions sampling needs: the model's own (for log probabilities) and the adjusted
 * one (penalties, biases, bans), each as a maximum and a mass relative to it.
 *
 * The tokens whose logits were changed are summed apart, one by one, so neither mass is a difference of large numbers:
 * banning a token with all but 1e-15 of the probability costs no digit.
 */
import { SamplerError, invalidRow } from './errors.js';
import { exponential, exponentialOfMinus, exponentialTable } from './exponential.js';
import { blockSize, maskedLogit, referenceFor, rowSummer } from './mass.js';
import type { Scratch } from './scratch.js';

/** probability(token) = exp(logit - maximum) / mass. */
export interface Distribution {
  maximum: number;
  mass: number;
}

export interface Distributions {
  readonly model: Distribution;
  readonly adjusted: Distribution;
}

/** References kept as the next guess: ordinary ones, for which `maskedLogit` is exact. */
const largestGuess = 512;

interface Unchanged {
  reference: number;
  /** The largest unchanged logit, -Infinity if there is none. */
  maximum: number;
  /** Σ exp(logit - reference) over the unchanged tokens. */
  total: number;
}

// One record for all calls: a sample allocates only what it returns.
const unchanged: Unchanged = { reference: 0, maximum: 0, total: 0 };

/**
 * Fills `into` from `scratch.row` (the model's row) and the first `changed` entries of the changed tokens. Afterwards
 * `scratch.row` is the adjusted row and `scratch.sums[b]` the mass of block b relative to the adjusted maximum, within
 * 4e-10 of its value. Throws `LOGITS_INVALID` or `NO_TOKEN_LEFT`.
 */
export function measure(
  scratch: Scratch,
  changed: number,
  logits: Float32Array | Float64Array,
  into: Distributions,
): void {
  let model = -Infinity;
  let adjusted = -Infinity;
  for (let at = 0; at < changed; at++) {
    const raw = scratch.changedRaw[at]!;
    if (!(raw < Infinity)) throw invalidRow(logits);
    if (raw > model) model = raw;
    if (scratch.changedAdjusted[at]! > adjusted) adjusted = scratch.changedAdjusted[at]!;
  }
  sumUnchanged(scratch, changed, logits);
  model = Math.max(model, unchanged.maximum);
  adjusted = Math.max(adjusted, unchanged.maximum);
  if (model === -Infinity) throw invalidRow(logits);
  if (adjusted === -Infinity) throw nothingLeft(scratch.row.length);
  into.model.maximum = model;
  into.model.mass = rescaled(unchanged.total, model);
  into.adjusted.maximum = adjusted;
  into.adjusted.mass = rescaled(unchanged.total, adjusted);
  if (unchanged.reference !== adjusted) {
    const scale = unchanged.maximum === -Infinity ? 0 : exponential(unchanged.reference - adjusted);
    for (let block = 0; block < scratch.sums.length; block++) scratch.sums[block]! *= scale;
  }
  const entries = exponentialTable();
  for (let at = 0; at < changed; at++) {
    const token = scratch.changed[at]!;
    const logit = scratch.changedAdjusted[at]!;
    const weight = exponentialOfMinus(adjusted - logit, entries);
    into.model.mass += exponentialOfMinus(model - scratch.changedRaw[at]!, entries);
    into.adjusted.mass += weight;
    scratch.row[token] = logit;
    scratch.sums[(token / blockSize) | 0]! += weight;
  }
}

/** The unchanged total relative to `maximum`, which is no lower than the largest unchanged logit. */
function rescaled(total: number, maximum: number): number {
  return unchanged.maximum === -Infinity ? 0 : total * exponential(unchanged.reference - maximum);
}

function nothingLeft(vocabularySize: number): SamplerError {
  return new SamplerError({
    code: 'NO_TOKEN_LEFT',
    message: `expected at least 1 of ${vocabularySize} tokens to be allowed, got 0: every token is banned or -Infinity`,
    expected: 1,
    got: 0,
  });
}

function sumUnchanged(
  scratch: Scratch,
  changed: number,
  logits: Float32Array | Float64Array,
): void {
  const { row, sums } = scratch;
  const { sumBlocks } = rowSummer();
  let reference = scratch.referenceGuess;
  mask(scratch, changed, maskedLogit(reference));
  let total = sumBlocks(row.length, reference);
  let maximum = total > 0 && total < Infinity ? maximumByBlocks(row, sums, reference) : NaN;
  if (!(maximum <= reference && maximum > reference - 32)) {
    mask(scratch, changed, -Infinity);
    maximum = largest(row);
    if (!(maximum < Infinity)) throw invalidRow(logits);
    if (maximum === -Infinity) {
      sums.fill(0);
      unchanged.maximum = maximum;
      return;
    }
    reference = referenceFor(maximum);
    if (Math.abs(reference) <= largestGuess) {
      scratch.referenceGuess = reference;
      // As after a right guess: the order of summation, and so the last bit, must not tell how often one guessed.
      mask(scratch, changed, maskedLogit(reference));
    }
    total = sumBlocks(row.length, reference);
  }
  unchanged.reference = reference;
  unchanged.maximum = maximum;
  unchanged.total = total;
}

function mask(scratch: Scratch, changed: number, logit: number): void {
  for (let at = 0; at < changed; at++) scratch.row[scratch.changed[at]!] = logit;
}

/** The largest logit, NaN if any is NaN. */
function largest(row: Float64Array): number {
  let maximum = -Infinity;
  for (const logit of row) {
    if (logit > maximum) maximum = logit;
    else if (logit !== logit) return NaN;
  }
  return maximum;
}

/** The largest logit. A block's sum bounds its members, so few blocks need a look, from the heaviest on. */
function maximumByBlocks(row: Float64Array, sums: Float64Array, reference: number): number {
  let heaviest = 0;
  for (let block = 1; block < sums.length; block++) {
    if (sums[block]! > sums[heaviest]!) heaviest = block;
  }
  let maximum = maximumOfBlock(row, heaviest, -Infinity);
  let bound = exponential(maximum - reference) * blockMargin;
  for (let block = 0; block < sums.length; block++) {
    if (sums[block]! < bound) continue;
    const larger = maximumOfBlock(row, block, maximum);
    if (larger === maximum) continue;
    maximum = larger;
    bound = exponential(maximum - reference) * blockMargin;
  }
  return maximum;
}

/** Below 1 by more than a block sum's error: a block lighter than this times a weight has no member that heavy. */
export const blockMargin = 1 - 1e-6;

function maximumOfBlock(row: Float64Array, block: number, atLeast: number): number {
  const end = Math.min((block + 1) * blockSize, row.length);
  let maximum = atLeast;
  for (let at = block * blockSize; at < end; at++) if (row[at]! > maximum) maximum = row[at]!;
  return maximum;
}
