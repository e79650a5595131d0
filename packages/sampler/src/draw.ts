/** Temperature, mirostat's bound and the draw itself, by ascending token id in all cases. */
import type { Distribution } from './distribution.js';
import { exponentialOfMinus, exponentialTable, naturalLogarithm } from './exponential.js';
import { blockSize, sumCarefully } from './mass.js';
import type { Scratch } from './scratch.js';
import { gather } from './truncate.js';

const ln2 = 0.6931471805599453;

/** The token in whose share of the sum `uniform` falls, and that share; reused from call to call. */
export interface Drawn {
  token: number;
  /** The token's weight and the weight of all that could have been drawn. */
  weight: number;
  mass: number;
}

/** Sets the weights of a list to exp((logit - maximum) / temperature); returns their sum. */
export function heat(
  { logits, weights }: Scratch,
  length: number,
  maximum: number,
  temperature: number,
): number {
  const entries = exponentialTable();
  let mass = 0;
  for (let at = 0; at < length; at++) {
    const weight = exponentialOfMinus((maximum - logits[at]!) / temperature, entries);
    weights[at] = weight;
    mass += weight;
  }
  return mass;
}

/** The mass of the whole row at a temperature, block by block into `scratch.sums`. */
export function heatRow(
  { row, sums }: Scratch,
  distribution: Distribution,
  temperature: number,
): number {
  if (temperature === 1) return distribution.mass;
  const entries = exponentialTable();
  let mass = 0;
  for (let block = 0; block < sums.length; block++) {
    const first = block * blockSize;
    const end = Math.min(first + blockSize, row.length);
    const sum = sumCarefully(row, first, end, distribution.maximum, 1 / temperature, entries);
    sums[block] = sum;
    mass += sum;
  }
  return mass;
}

export function drawFromList(
  { tokens, weights }: Scratch,
  length: number,
  uniform: number,
  drawn: Drawn,
): void {
  let mass = 0;
  for (let at = 0; at < length; at++) mass += weights[at]!;
  const target = uniform * mass;
  let below = 0;
  // Rounding could leave the sum at the target; then the last token that weighs anything is the answer.
  let last = 0;
  for (let at = 0; at < length; at++) {
    const weight = weights[at]!;
    if (weight === 0) continue;
    last = at;
    below += weight;
    if (below > target) break;
  }
  drawn.token = tokens[last]!;
  drawn.weight = weights[last]!;
  drawn.mass = mass;
}

/** A draw from the whole row: along the block sums to the block, then along its members. */
export function drawFromRow(
  scratch: Scratch,
  distribution: Distribution,
  temperature: number,
  uniform: number,
): number {
  const { row, sums } = scratch;
  const target = uniform * heatRow(scratch, distribution, temperature);
  let before = 0;
  let block = 0;
  for (let at = 0; at < sums.length; at++) {
    if (sums[at] === 0) continue;
    block = at;
    if (before + sums[at]! > target) break;
    before += sums[at]!;
  }
  const entries = exponentialTable();
  const end = Math.min((block + 1) * blockSize, row.length);
  let below = before;
  let last = -1;
  // Past the block only if nothing in it has a weight: masked tokens leave it a trace of mass, under 1e-35.
  for (let token = block * blockSize; token < (last < 0 ? row.length : end); token++) {
    const distance = (distribution.maximum - row[token]!) / temperature;
    const weight = exponentialOfMinus(distance, entries);
    if (weight === 0) continue;
    last = token;
    below += weight;
    if (below > target) break;
  }
  return last < 0 ? row.lastIndexOf(distribution.maximum) : last;
}

/**
 * Mirostat 2.0: drops the tokens whose surprise log2(mass / weight) exceeds `bound` bits, keeping at least the likeliest
 * ones. `length` -1 stands for the whole row. Returns the length of the list that stays, weights set.
 */
export function boundSurprise(
  scratch: Scratch,
  distribution: Distribution,
  { length, temperature, bound }: { length: number; temperature: number; bound: number },
): number {
  const { tokens, logits, weights } = scratch;
  const maximum = length < 0 ? distribution.maximum : largestListed(scratch, length);
  const mass =
    length < 0
      ? heatRow(scratch, distribution, temperature)
      : heat(scratch, length, maximum, temperature);
  const farthest = Math.max((bound * ln2 - naturalLogarithm(mass)) * temperature, 0);
  let listed = length;
  if (length < 0) {
    // The blocks are weighed at this temperature now, which bounds their members only for a window at the same one.
    listed = temperature === 1 ? gather(scratch, maximum, maximum - farthest) : gatherAll(scratch);
    heat(scratch, listed, maximum, temperature);
  }
  let kept = 0;
  for (let at = 0; at < listed; at++) {
    if (maximum - logits[at]! > farthest) continue;
    tokens[kept] = tokens[at]!;
    logits[kept] = logits[at]!;
    weights[kept++] = weights[at]!;
  }
  return kept;
}

/** The largest logit of a list; typical sampling may have dropped the likeliest token of all. */
export function largestListed({ logits }: Scratch, length: number): number {
  let largest = -Infinity;
  for (let at = 0; at < length; at++) if (logits[at]! > largest) largest = logits[at]!;
  return largest;
}

function gatherAll(scratch: Scratch): number {
  return gather(scratch, 0, -Infinity);
}

/** The surprise in bits of what was drawn, under the distribution it was drawn from. */
export function surpriseOf({ weight, mass }: Drawn): number {
  return naturalLogarithm(mass / weight) / ln2;
}
