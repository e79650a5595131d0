/** `f64`: everything double. `f32`: stored as f32, so rounded at every op's output; sums run in double. */
export type Precision = 'f64' | 'f32';

/** Activations, parameters and states in the backend's precision. */
export type Numbers = Float32Array | Float64Array;

export const bytesPerNumber: { readonly [P in Precision]: number } = { f64: 8, f32: 4 };

export function createNumbers(precision: Precision, count: number): Numbers {
  return precision === 'f64' ? new Float64Array(count) : new Float32Array(count);
}

export function viewNumbers(
  precision: Precision,
  { buffer, offset, count }: { buffer: ArrayBuffer; offset: number; count: number },
): Numbers {
  return precision === 'f64'
    ? new Float64Array(buffer, offset, count)
    : new Float32Array(buffer, offset, count);
}

/** The number of elements of a shape. */
export function countOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** `countOf`, or 0 where a size is not a positive integer or the product is not exact. */
export function checkedCount(shape: readonly number[]): number {
  const fits = shape.length > 0 && shape.every((size) => Number.isSafeInteger(size) && size > 0);
  const count = fits ? countOf(shape) : 0;
  return Number.isSafeInteger(count) ? count : 0;
}
