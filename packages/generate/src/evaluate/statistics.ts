export interface Metric {
  readonly value: number;
  /** Of the value, over items drawn at random; null where there are too few of them to say. */
  readonly standardError: number | null;
}

/** The mean and its standard error, s ÷ √n with the sample's s (n - 1). */
export function meanOf(values: ArrayLike<number>): Metric {
  const mean = sum(values) / values.length;
  if (values.length < 2) return { value: mean, standardError: null };
  const squares = sum(Array.from(values, (value) => (value - mean) ** 2));
  return { value: mean, standardError: Math.sqrt(squares / (values.length - 1) / values.length) };
}

/**
 * Σ totals ÷ Σ counts. Its standard error is that of a ratio of two means (the linearised one): the deviations are
 * total - ratio · count of each item.
 */
export function ratioOf(totals: ArrayLike<number>, counts: ArrayLike<number>): Metric {
  const items = totals.length;
  const count = sum(counts);
  const ratio = sum(totals) / count;
  if (items < 2) return { value: ratio, standardError: null };
  const squares = sum(Array.from(totals, (total, at) => (total - ratio * counts[at]!) ** 2));
  const deviation = Math.sqrt(squares / (items - 1) / items);
  return { value: ratio, standardError: deviation / (count / items) };
}

/** A differentiable function of a metric: the error is multiplied by the slope (the delta method). */
export function transformed(
  { value, standardError }: Metric,
  { apply, slope }: { apply: (value: number) => number; slope: (value: number) => number },
): Metric {
  return {
    value: apply(value),
    standardError: standardError === null ? null : Math.abs(slope(value)) * standardError,
  };
}

/** exp(-x). */
export const negativeExponential = {
  apply: (value: number): number => Math.exp(-value),
  slope: (value: number): number => Math.exp(-value),
};

export function sum(values: ArrayLike<number>): number {
  let total = 0;
  for (let at = 0; at < values.length; at++) total += values[at]!;
  return total;
}
