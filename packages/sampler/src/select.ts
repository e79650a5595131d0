const bucketCount = 256;
const buckets = new Float64Array(bucketCount);
/** Below this many values a sort is quicker than another round of buckets. */
const sortBelow = 33;

export interface Selection {
  /** [n] finite values; overwritten. */
  readonly values: Float64Array;
  /** [n] their weights, at least 0; overwritten. */
  readonly weights: Float64Array;
  readonly length: number;
  readonly target: number;
}

/**
 * The largest value v whose values >= v weigh at least `target` together; the smallest value if all weigh less.
 *
 * Instead of a sort: spread the values over 256 buckets between their extremes, find the bucket in which the running
 * weight reaches the target, go on with that bucket alone. Each round drops at least one value (the extremes fall into
 * different buckets), usually all but a 256th. With weights of 1 and a target of k it finds the k-th largest value.
 */
export function thresholdOfMass({ values, weights, length, target }: Selection): number {
  let above = 0;
  let left = length;
  while (left >= sortBelow) {
    let largest = -Infinity;
    let smallest = Infinity;
    for (let at = 0; at < left; at++) {
      const value = values[at]!;
      if (value > largest) largest = value;
      if (value < smallest) smallest = value;
    }
    // Halves, because the range itself may exceed the largest double.
    const scale = bucketCount / (largest * 0.5 - smallest * 0.5);
    // All equal, or within 1e-305 of each other, which no weight can tell apart.
    if (!(scale < Infinity)) return smallest;
    const bucketOf = (value: number): number =>
      Math.min(((largest * 0.5 - value * 0.5) * scale) | 0, bucketCount - 1);
    buckets.fill(0);
    for (let at = 0; at < left; at++) buckets[bucketOf(values[at]!)]! += weights[at]!;
    let chosen = 0;
    while (chosen < bucketCount && above + buckets[chosen]! < target) above += buckets[chosen++]!;
    if (chosen === bucketCount) return smallest;
    let next = 0;
    for (let at = 0; at < left; at++) {
      if (bucketOf(values[at]!) !== chosen) continue;
      values[next] = values[at]!;
      weights[next++] = weights[at]!;
    }
    left = next;
  }
  sortDescending(values, weights, left);
  for (let at = 0; at < left; at++) {
    above += weights[at]!;
    if (above >= target) return values[at]!;
  }
  return values[left - 1]!;
}

/** Insertion sort of a few values with their weights. */
function sortDescending(values: Float64Array, weights: Float64Array, length: number): void {
  for (let at = 1; at < length; at++) {
    const value = values[at]!;
    const weight = weights[at]!;
    let hole = at;
    for (; hole > 0 && values[hole - 1]! < value; hole--) {
      values[hole] = values[hole - 1]!;
      weights[hole] = weights[hole - 1]!;
    }
    values[hole] = value;
    weights[hole] = weight;
  }
}
