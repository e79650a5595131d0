/**
 * The formulas of adapters, on one matrix [out, in] in place. Sums run in f64 and round once, when they are added to the
 * weight. Sources: LoRA arXiv:2106.09685, section 4.1; PiSSA arXiv:2404.02948, section 3; DiSHA (Bone) arXiv:2409.15371.
 */

export interface Matrix {
  /** [out, in] */
  readonly values: Float32Array;
  readonly out: number;
  readonly in: number;
}

export interface LowRankFactors {
  /** [rank, in] */
  readonly a: Float32Array;
  /** [out, rank] */
  readonly b: Float32Array;
  readonly rank: number;
}

/** W += factor · B A. */
export function addLowRank(weight: Matrix, { a, b, rank }: LowRankFactors, factor: number): void {
  const width = weight.in;
  const sums = new Float64Array(width);
  for (let row = 0; row < weight.out; row++) {
    sums.fill(0);
    for (let k = 0; k < rank; k++) {
      const scale = b[row * rank + k]! * factor;
      if (scale === 0) continue;
      const start = k * width;
      for (let column = 0; column < width; column++) {
        sums[column] = sums[column]! + scale * a[start + column]!;
      }
    }
    const start = row * width;
    for (let column = 0; column < width; column++) {
      weight.values[start + column] = weight.values[start + column]! + sums[column]!;
    }
  }
}

/** W[o, c] += D[c mod rank, o]; D [rank, out]. */
export function addDisha(weight: Matrix, d: Float32Array, rank: number): void {
  for (let row = 0; row < weight.out; row++) {
    const start = row * weight.in;
    for (let column = 0; column < weight.in; column++) {
      const addend = d[(column % rank) * weight.out + row]!;
      weight.values[start + column] = weight.values[start + column]! + addend;
    }
  }
}

/** For each block w of rank × rank under input block b: w += w D_b + D_b; D [in / rank, rank, rank]. */
export function addBat(weight: Matrix, d: Float32Array, rank: number): void {
  const before = new Float32Array(rank);
  for (let row = 0; row < weight.out; row++) {
    const blockRow = row % rank;
    for (let block = 0; block < weight.in / rank; block++) {
      const start = row * weight.in + block * rank;
      const own = block * rank * rank;
      before.set(weight.values.subarray(start, start + rank));
      for (let column = 0; column < rank; column++) {
        let sum = before[column]! + d[own + blockRow * rank + column]!;
        for (let k = 0; k < rank; k++) sum += before[k]! * d[own + k * rank + column]!;
        weight.values[start + column] = sum;
      }
    }
  }
}
