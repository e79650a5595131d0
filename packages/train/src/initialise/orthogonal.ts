/**
 * Random matrices with orthonormal rows (or columns, where there are fewer of them), uniform among all such: the vectors of
 * a normal matrix, made orthonormal one after the other (Gram and Schmidt, each again where cancellation was heavy), which
 * is what a QR decomposition with a positive diagonal gives.
 */
import type { NamedRandom } from './random.js';

export interface OrthogonalOptions {
  readonly rows: number;
  readonly columns: number;
  /** Multiplies every number; the length of each vector. */
  readonly gain: number;
  readonly random: NamedRandom;
}

/** Below this part of its length left, a vector goes through its predecessors again. */
const heavyCancellation = 0.5;

/** [rows, columns], row-major. */
export function orthogonal({ rows, columns, gain, random }: OrthogonalOptions): Float32Array {
  const count = Math.min(rows, columns);
  const length = Math.max(rows, columns);
  const vectors = new Float64Array(count * length);
  for (let index = 0; index < vectors.length; index++) vectors[index] = random.normal();
  for (let vector = 0; vector < count; vector++) {
    const at = vector * length;
    let before = lengthOf(vectors, at, length);
    for (;;) {
      for (let other = 0; other < vector; other++)
        subtractPart(vectors, at, other * length, length);
      const after = lengthOf(vectors, at, length);
      if (after > heavyCancellation * before) {
        for (let index = at; index < at + length; index++) vectors[index]! /= after;
        break;
      }
      before = after;
    }
  }
  const result = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const from = rows <= columns ? row * length + column : column * length + row;
      result[row * columns + column] = gain * vectors[from]!;
    }
  }
  return result;
}

function lengthOf(vectors: Float64Array, at: number, length: number): number {
  return Math.sqrt(dot(vectors, at, at, length));
}

function subtractPart(vectors: Float64Array, at: number, other: number, length: number): void {
  const part = dot(vectors, at, other, length);
  for (let index = 0; index < length; index++)
    vectors[at + index]! -= part * vectors[other + index]!;
}

/** Four sums side by side, which a processor adds at once. */
function dot(vectors: Float64Array, a: number, b: number, length: number): number {
  let [sum0, sum1, sum2, sum3] = [0, 0, 0, 0];
  const whole = length - (length % 4);
  for (let index = 0; index < whole; index += 4) {
    sum0 += vectors[a + index]! * vectors[b + index]!;
    sum1 += vectors[a + index + 1]! * vectors[b + index + 1]!;
    sum2 += vectors[a + index + 2]! * vectors[b + index + 2]!;
    sum3 += vectors[a + index + 3]! * vectors[b + index + 3]!;
  }
  for (let index = whole; index < length; index++)
    sum0 += vectors[a + index]! * vectors[b + index]!;
  return sum0 + sum1 + (sum2 + sum3);
}
