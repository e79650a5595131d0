/** Extremes of a run of finite values. */

/** The value of largest magnitude, the first of equals; 0 where all are. */
export function signedExtreme(values: Float32Array, start: number, count: number): number {
  let magnitude = 0;
  let extreme = 0;
  for (let i = start; i < start + count; i++) {
    const value = values[i]!;
    const own = Math.abs(value);
    if (own > magnitude) {
      magnitude = own;
      extreme = value;
    }
  }
  return extreme;
}

/** The first of the smallest values: of 0 and -0 the one that comes first. */
export function smallest(values: Float32Array, start: number, count: number): number {
  let result = values[start]!;
  for (let i = start + 1; i < start + count; i++) {
    if (values[i]! < result) result = values[i]!;
  }
  return result;
}

/** The first of the largest values. */
export function largest(values: Float32Array, start: number, count: number): number {
  let result = values[start]!;
  for (let i = start + 1; i < start + count; i++) {
    if (values[i]! > result) result = values[i]!;
  }
  return result;
}
