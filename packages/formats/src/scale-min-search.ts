/**
 * The search behind q4_k and q5_k (GGML calls it make_qkx2): a scale s ≥ 0 and a minimum m ≤ 0 for one sub-block of 32
 * numbers so that Σ w (s q + m - x)² is small with q integers from 0 to `levels`.
 *
 * It starts from m = min(min x, 0), s = (max x - m) / levels, then tries a row of slightly different step widths: each
 * gives integers q, the weighted least-squares s and m for those integers (m clamped to 0, then s = Σ w q x / Σ w q²),
 * and an error; the first best one wins. A win also moves the minimum from which the next try is measured.
 *
 * Every operation rounds to f32 and sums run left to right: files are reproducible bit for bit only that way.
 */
import { nearest } from './nearest.js';

const { fround } = Math;
const size = 32;
const step = fround(0.1);

export interface StepWidths {
  /** The largest integer: 15 or 31. */
  readonly levels: number;
  /** The first try's step width is (max - min) / (levels + first); each further one adds 0.1 to `first`. */
  readonly first: number;
  /** Tries beyond the first. */
  readonly last: number;
}

/** Where a sub-block's result goes. */
export interface SubBlock {
  readonly values: Float32Array;
  readonly start: number;
  /** [levels] integers of this sub-block, written from `quantStart`. */
  readonly quants: Uint8Array;
  readonly quantStart: number;
  readonly scales: Float32Array;
  /** Minima with the sign turned, so ≥ 0. */
  readonly mins: Float32Array;
  readonly index: number;
}

// All hold f32 numbers; as f64 they are loaded without a conversion, which the inner loops notice.
const numbers = new Float64Array(size);
const weights = new Float64Array(size);
const above = new Float64Array(size);
const trial = new Float64Array(size);

/** w = root mean square of the sub-block + |x|: large numbers count more, none counts nothing. */
function fillWeights(): void {
  let squares = 0;
  for (let i = 0; i < size; i++) {
    const x = numbers[i]!;
    squares = fround(squares + fround(x * x));
  }
  const rootMeanSquare = fround(Math.sqrt(fround(squares / size)));
  for (let i = 0; i < size; i++) weights[i] = fround(rootMeanSquare + Math.abs(numbers[i]!));
}

/** Distances from the current minimum, shared by all tries measured from it. */
function fillAbove(minimum: number): void {
  for (let i = 0; i < size; i++) above[i] = fround(numbers[i]! - minimum);
}

function keepTrial({ quants, quantStart }: SubBlock): void {
  for (let i = 0; i < size; i++) quants[quantStart + i] = trial[i]!;
}

function clamped(value: number, levels: number): number {
  const integer = nearest(value);
  return integer < 0 ? 0 : integer > levels ? levels : integer;
}

/**
 * Σ w (scale q + minimum - x)² over `trial`, or some number from `limit` on once the sum, which never falls, gets there.
 */
function errorOf(scale: number, minimum: number, limit: number): number {
  let sum = 0;
  for (let i = 0; i < size && sum < limit;) {
    for (const end = i + 8; i < end; i++) {
      const off = fround(fround(fround(scale * trial[i]!) + minimum) - numbers[i]!);
      sum = fround(sum + fround(weights[i]! * fround(off * off)));
    }
  }
  return sum;
}

/** Sums over `trial` of the last `fit`: Σ w q, Σ w q², Σ w q x. */
let sumQ = 0;
let sumQ2 = 0;
let sumQX = 0;

/** Writes the integers for one step width into `trial` and sums them. */
function fit(inverse: number, levels: number): void {
  let q1 = 0;
  let q2 = 0;
  let qx = 0;
  for (let i = 0; i < size; i++) {
    const q = clamped(fround(inverse * above[i]!), levels);
    trial[i] = q;
    const weighted = fround(weights[i]! * q);
    q1 = fround(q1 + weighted);
    q2 = fround(q2 + fround(weighted * q));
    qx = fround(qx + fround(weighted * numbers[i]!));
  }
  sumQ = q1;
  sumQ2 = q2;
  sumQX = qx;
}

/** Fills the sub-block's integers, `scales[index]` and `mins[index]`. */
export function searchScaleAndMin(sub: SubBlock, { levels, first, last }: StepWidths): void {
  const { values, start, quants, quantStart, scales, mins, index } = sub;
  for (let i = 0; i < size; i++) numbers[i] = values[start + i]!;
  fillWeights();
  let minimum = numbers[0]!;
  let maximum = minimum;
  let sumW = weights[0]!;
  let sumX = fround(sumW * minimum);
  for (let i = 1; i < size; i++) {
    const x = numbers[i]!;
    if (x < minimum) minimum = x;
    if (x > maximum) maximum = x;
    sumW = fround(sumW + weights[i]!);
    sumX = fround(sumX + fround(weights[i]! * x));
  }
  if (minimum > 0) minimum = 0;
  if (maximum === minimum) {
    quants.fill(0, quantStart, quantStart + size);
    scales[index] = 0;
    mins[index] = -minimum;
    return;
  }
  fillAbove(minimum);
  const inverse = fround(levels / fround(maximum - minimum));
  let scale = fround(1 / inverse);
  fit(inverse, levels);
  keepTrial(sub);
  let bestError = errorOf(scale, minimum, Infinity);
  for (let attempt = 0; attempt <= last; attempt++) {
    const width = fround(fround(first + fround(step * attempt)) + levels);
    fit(fround(width / fround(maximum - minimum)), levels);
    const determinant = fround(fround(sumW * sumQ2) - fround(sumQ * sumQ));
    if (!(determinant > 0)) continue;
    let tryScale = fround(fround(fround(sumW * sumQX) - fround(sumX * sumQ)) / determinant);
    let tryMinimum = fround(fround(fround(sumQ2 * sumX) - fround(sumQ * sumQX)) / determinant);
    if (tryMinimum > 0) {
      tryMinimum = 0;
      tryScale = fround(sumQX / sumQ2);
    }
    const error = errorOf(tryScale, tryMinimum, bestError);
    if (error < bestError) {
      keepTrial(sub);
      bestError = error;
      scale = tryScale;
      minimum = tryMinimum;
      fillAbove(minimum);
    }
  }
  scales[index] = scale;
  mins[index] = -minimum;
}
