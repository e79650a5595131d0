/**
 * The search behind q6_k (GGML calls it make_qx): a signed scale s for one sub-block of 16 numbers so that
 * Σ x² (s q - x)² is small with q integers from -32 to 31.
 *
 * The value m of largest magnitude goes to -32 at first, then to -(32 + t / 10) for t = -9 … 9 without 0; each try's
 * scale is the least-squares one, and the first that raises (Σ x³ q)² / Σ x² q² wins. Every operation rounds to f32.
 */
import { nearest } from './nearest.js';
import { signedExtreme } from './range.js';

const { fround } = Math;
const size = 16;
const levels = 32;
const tenth = fround(0.1);
/** Sub-blocks smaller than this are taken as zero. */
export const negligible: number = fround(1e-15);

const squares = new Float32Array(size);
const cubes = new Float32Array(size);

let sumQX = 0;
let sumQ2 = 0;

/** q for one try, from -32 to 31. */
export function clampedLevel(value: number): number {
  const integer = nearest(value);
  return integer < -levels ? -levels : integer > levels - 1 ? levels - 1 : integer;
}

function fit(values: Float32Array, start: number, inverse: number): void {
  let qx = 0;
  let q2 = 0;
  for (let i = 0; i < size; i++) {
    const q = clampedLevel(fround(inverse * values[start + i]!));
    qx = fround(qx + fround(cubes[i]! * q));
    q2 = fround(q2 + fround(fround(squares[i]! * q) * q));
  }
  sumQX = qx;
  sumQ2 = q2;
}

export interface SubBlock16 {
  readonly values: Float32Array;
  readonly start: number;
  readonly quants: Uint8Array;
  readonly quantStart: number;
}

/** Returns the scale; writes the integers plus 32 into `quants`, or zeros for a negligible sub-block. */
export function searchScale({ values, start, quants, quantStart }: SubBlock16): number {
  const extreme = signedExtreme(values, start, size);
  if (Math.abs(extreme) < negligible) {
    quants.fill(0, quantStart, quantStart + size);
    return 0;
  }
  for (let i = 0; i < size; i++) {
    const x = values[start + i]!;
    squares[i] = x * x;
    cubes[i] = squares[i]! * x;
  }
  let inverse = fround(-levels / extreme);
  fit(values, start, inverse);
  let scale = sumQ2 === 0 ? 0 : fround(sumQX / sumQ2);
  let best = fround(scale * sumQX);
  for (let attempt = -9; attempt <= 9; attempt++) {
    if (attempt === 0) continue;
    const tryInverse = fround(-fround(levels + fround(tenth * attempt)) / extreme);
    fit(values, start, tryInverse);
    if (sumQ2 > 0 && fround(sumQX * sumQX) > fround(best * sumQ2)) {
      inverse = tryInverse;
      scale = fround(sumQX / sumQ2);
      best = fround(scale * sumQX);
    }
  }
  for (let i = 0; i < size; i++) {
    quants[quantStart + i] = levels + clampedLevel(fround(inverse * values[start + i]!));
  }
  return scale;
}
