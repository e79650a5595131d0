/** How far a backend may be from the reference because it quantises activations before it multiplies integers. */
import type { WeightFormat } from '@rwkv-ts/backend';
import { formatInfo } from '@rwkv-ts/formats';

/** Rows as a backend may see them: their numbers, and the variance that quantised activations may give each. */
export interface Estimate {
  /** [rows, width] */
  readonly values: Float64Array;
  readonly variance: Float64Array;
  readonly width: number;
}

/**
 * One product x Wᵀ, W [out, width].
 *
 * A backend may round a row of x to 8 bits per block before it multiplies integers, as GGML's kernels do: blocks of 32
 * for the formats with blocks of 32, of 256 for the k-formats, each with the step s = max|x| / 127. The error of an
 * element is uniform in ±s/2, of variance s²/12, and independent of the weights, so a sum Σ w e has the variance
 * Σ_blocks s²/12 Σ w². Plain formats get no such allowance, but for the 16-bit ones of `supports.roundedProducts`: an
 * element rounded to one of them has a step of |x| 2⁻¹⁰ (f16) or |x| 2⁻⁷ (bf16).
 */
export function multiply(
  x: Estimate,
  matrix: Float32Array,
  { format, rounded = false }: { readonly format: WeightFormat; readonly rounded?: boolean },
): Estimate {
  const [rows, width] = [x.values.length / x.width, matrix.length / x.width];
  const { blockSize } = formatInfo(format);
  const block = blockSize === 1 ? x.width : blockSize;
  const values = new Float64Array(rows * width);
  const variance = new Float64Array(rows * width);
  for (let start = 0; start < x.values.length; start += block) {
    const [row, first] = [Math.floor(start / x.width), start % x.width];
    let largest = 0;
    for (let i = start; i < start + block; i++) largest = Math.max(largest, Math.abs(x.values[i]!));
    const step = blockSize === 1 ? 0 : largest / 127;
    const relativeStep = rounded ? (format === 'bf16' ? 2 ** -7 : 2 ** -10) : 0;
    for (let o = 0; o < width; o++) {
      for (let i = 0; i < block; i++) {
        const w = matrix[o * x.width + first + i]!;
        values[row * width + o]! += w * x.values[start + i]!;
        const own = Math.max(step, relativeStep * Math.abs(x.values[start + i]!));
        variance[row * width + o]! += w * w * (x.variance[start + i]! + (own * own) / 12);
      }
    }
  }
  return { values, variance, width };
}

/**
 * Six deviations: among the 10⁵ numbers of a run, chance exceeds it less than once in 10³ runs, while a misread scale or
 * minimum moves a sum by several per cent of its own size.
 */
export const deviations = 6;
