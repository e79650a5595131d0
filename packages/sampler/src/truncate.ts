/**
 * Which tokens stay in the race: top-p, top-k, min-p, then typical.
 *
 * Tokens come as a list by ascending id. It is gathered through a window below the maximum that widens until it surely
 * holds all that stay; blocks too light to hold a token of the window are skipped, so the usual cost is a look at each
 * block's sum and at a handful of blocks.
 */
import { blockMargin, type Distribution } from './distribution.js';
import {
  exponential,
  exponentialOfMinus,
  exponentialTable,
  naturalLogarithm,
} from './exponential.js';
import { blockSize } from './mass.js';
import type { ResolvedOptions } from './options.js';
import type { Scratch } from './scratch.js';
import { thresholdOfMass } from './select.js';

/**
 * The first window, in nats below the maximum: wider the more top-p wants and the more tokens share the mass, so that it
 * is seldom too narrow and yet holds few that go again. Found by trying; it is about speed only.
 */
function firstWindow({ topP }: ResolvedOptions, mass: number): number {
  return (topP < 1 ? 1 + 3 * topP : 2) + naturalLogarithm(mass) / 2;
}

/** The next window: wider steps the less of the mass looked for is in this one, and in the end everything. */
function widened(window: number, found: number): number {
  if (window >= 40) return Infinity;
  return window + (found > 0.5 ? 2 : found > 0.1 ? 4 : 6);
}

/** Whether any option can drop a token before the temperature. */
export function truncates({ topK, topP, minP, typicalP }: ResolvedOptions, size: number): boolean {
  return topP < 1 || minP > 0 || typicalP < 1 || (topK > 0 && topK < size);
}

/** Leaves the kept tokens in the lists of `scratch`, with weights exp(logit - maximum), and returns how many. */
export function truncate(
  scratch: Scratch,
  distribution: Distribution,
  options: ResolvedOptions,
): number {
  const { topP, minP, typicalP } = options;
  const { maximum } = distribution;
  const topK = options.topK > 0 ? options.topK : Infinity;
  const floor = minP > 0 ? maximum + naturalLogarithm(minP) : -Infinity;
  const target = topP < 1 ? topP * distribution.mass : Infinity;
  let length: number;
  let mass: number;
  const narrowing = topP < 1 || topK < scratch.row.length;
  let window = firstWindow(options, distribution.mass);
  for (; ; window = widened(window, mass / distribution.mass)) {
    const lowest = narrowing ? Math.max(maximum - window, floor) : floor;
    length = gather(scratch, maximum, lowest);
    // Top-k first: top-p keeps of the k likeliest what it keeps of all, and has fewer to weigh and to choose from.
    const isEnough = length >= topK;
    if (length > topK) length = keepLargest(scratch, length, topK);
    mass = weigh(scratch, length, maximum);
    if (mass >= target || isEnough || lowest === floor) break;
  }
  if (mass >= target) length = keepAtLeast(scratch, length, selectByMass(scratch, length, target));
  return typicalP < 1 ? keepTypical(scratch, length, maximum, typicalP) : length;
}

/** Lists the tokens with a logit of at least `lowest` (and above -Infinity), by ascending id. */
export function gather(scratch: Scratch, maximum: number, lowest: number): number {
  const { row, sums, tokens, logits } = scratch;
  // Weights near the smallest doubles are too coarse to bound anything by.
  const lightest = maximum - lowest > 600 ? 0 : exponential(lowest - maximum) * blockMargin;
  let length = 0;
  for (let block = 0; block < sums.length; block++) {
    if (sums[block]! < lightest) continue;
    const end = Math.min((block + 1) * blockSize, row.length);
    for (let token = block * blockSize; token < end; token++) {
      const logit = row[token]!;
      if (!(logit >= lowest) || logit === -Infinity) continue;
      tokens[length] = token;
      logits[length++] = logit;
    }
  }
  return length;
}

/** Sets the weights to exp(logit - maximum) and returns their sum. */
export function weigh({ logits, weights }: Scratch, length: number, maximum: number): number {
  const entries = exponentialTable();
  let mass = 0;
  for (let at = 0; at < length; at++) {
    const weight = exponentialOfMinus(maximum - logits[at]!, entries);
    weights[at] = weight;
    mass += weight;
  }
  return mass;
}

export function selectByMass(scratch: Scratch, length: number, target: number): number {
  const { logits, weights, selectValues: values, selectWeights } = scratch;
  for (let at = 0; at < length; at++) {
    values[at] = logits[at]!;
    selectWeights[at] = weights[at]!;
  }
  return thresholdOfMass({ values, weights: selectWeights, length, target });
}

export function keepAtLeast(
  { tokens, logits, weights }: Scratch,
  length: number,
  lowest: number,
): number {
  let kept = 0;
  for (let at = 0; at < length; at++) {
    if (logits[at]! < lowest) continue;
    tokens[kept] = tokens[at]!;
    logits[kept] = logits[at]!;
    weights[kept++] = weights[at]!;
  }
  return kept;
}

/** The `count` largest, not yet weighed; among those equal to the smallest of them, the lowest ids. */
export function keepLargest(scratch: Scratch, length: number, count: number): number {
  const { tokens, logits, selectValues: values, selectWeights } = scratch;
  for (let at = 0; at < length; at++) values[at] = logits[at]!;
  selectWeights.fill(1, 0, length);
  const edge = thresholdOfMass({ values, weights: selectWeights, length, target: count });
  let atEdge = count;
  for (let at = 0; at < length; at++) if (logits[at]! > edge) atEdge -= 1;
  let kept = 0;
  for (let at = 0; at < length; at++) {
    const logit = logits[at]!;
    if (logit < edge || (logit === edge && atEdge-- <= 0)) continue;
    tokens[kept] = tokens[at]!;
    logits[kept++] = logit;
  }
  return kept;
}

/**
 * Locally typical sampling. With p = w / W and d = maximum - logit, the surprise of a token is d + ln W and the entropy
 * is Σ p d + ln W, so their distance is |d - Σ p d|.
 */
export function keepTypical(
  scratch: Scratch,
  length: number,
  maximum: number,
  typicalP: number,
): number {
  const { tokens, logits, weights, selectValues: values, selectWeights } = scratch;
  let mass = 0;
  let moment = 0;
  for (let at = 0; at < length; at++) {
    const weight = weights[at]!;
    mass += weight;
    if (weight > 0) moment += weight * (maximum - logits[at]!);
  }
  const center = moment / mass;
  const nearness = (logit: number): number => -Math.abs(maximum - logit - center);
  let finite = 0;
  for (let at = 0; at < length; at++) {
    if (weights[at] === 0) continue;
    values[finite] = nearness(logits[at]!);
    selectWeights[finite++] = weights[at]!;
  }
  const target = typicalP * mass;
  const nearest = thresholdOfMass({ values, weights: selectWeights, length: finite, target });
  let kept = 0;
  for (let at = 0; at < length; at++) {
    if (weights[at] === 0 || nearness(logits[at]!) < nearest) continue;
    tokens[kept] = tokens[at]!;
    logits[kept] = logits[at]!;
    weights[kept++] = weights[at]!;
  }
  return kept;
}
