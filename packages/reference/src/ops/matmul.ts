import type { Numbers } from '../numbers.js';
import type { Prepare } from './context.js';

/**
 * out = x Wᵀ; x [_, I], weight [O, I], out [_, O].
 *
 * Every sum runs over I in order with one accumulator, however rows are grouped, so that a row's result does not depend
 * on the rows beside it. Rows go four at a time: each weight is read once per four rows, and the independent sums keep
 * the processor's multipliers busy.
 */
export const prepareMatmul: Prepare<'matmul'> = (op, context) => {
  const { step } = context;
  const { rows } = op.out;
  const x = context.value(op.x);
  const out = context.value(op.out);
  const matrix: Matrix = {
    weight: context.matrix(op.weight),
    inner: op.x.width,
    outer: op.out.width,
  };
  return () => {
    const count = step.rows[rows];
    const blocks = count - (count % 4);
    if (blocks > 0) multiplyBlocks(matrix, { x, out, count: blocks });
    for (let row = blocks; row < count; row++) multiplyRow(matrix, { x, out, row });
  };
};

interface Matrix {
  readonly weight: Numbers;
  readonly inner: number;
  readonly outer: number;
}

/** Rows in blocks of four against pairs of weight rows. */
function multiplyBlocks(
  { weight, inner, outer }: Matrix,
  { x, out, count }: { x: Numbers; out: Numbers; count: number },
): void {
  const pairs = outer - (outer % 2);
  for (let o = 0; o < pairs; o += 2) {
    const w0 = o * inner;
    const w1 = w0 + inner;
    for (let t = 0; t < count; t += 4) {
      const x0 = t * inner;
      const x1 = x0 + inner;
      const x2 = x1 + inner;
      const x3 = x2 + inner;
      let a0 = 0;
      let a1 = 0;
      let a2 = 0;
      let a3 = 0;
      let b0 = 0;
      let b1 = 0;
      let b2 = 0;
      let b3 = 0;
      for (let i = 0; i < inner; i++) {
        const a = weight[w0 + i]!;
        const b = weight[w1 + i]!;
        const y0 = x[x0 + i]!;
        const y1 = x[x1 + i]!;
        const y2 = x[x2 + i]!;
        const y3 = x[x3 + i]!;
        a0 += a * y0;
        b0 += b * y0;
        a1 += a * y1;
        b1 += b * y1;
        a2 += a * y2;
        b2 += b * y2;
        a3 += a * y3;
        b3 += b * y3;
      }
      const at = t * outer + o;
      out[at] = a0;
      out[at + 1] = b0;
      out[at + outer] = a1;
      out[at + outer + 1] = b1;
      out[at + 2 * outer] = a2;
      out[at + 2 * outer + 1] = b2;
      out[at + 3 * outer] = a3;
      out[at + 3 * outer + 1] = b3;
    }
  }
  if (pairs === outer) return;
  for (let t = 0; t < count; t++) {
    out[t * outer + pairs] = dot(weight, pairs * inner, { x, start: t * inner, inner });
  }
}

/** One row against four weight rows at a time. */
function multiplyRow(
  { weight, inner, outer }: Matrix,
  { x, out, row }: { x: Numbers; out: Numbers; row: number },
): void {
  const start = row * inner;
  const blocks = outer - (outer % 4);
  for (let o = 0; o < blocks; o += 4) {
    const w0 = o * inner;
    const w1 = w0 + inner;
    const w2 = w1 + inner;
    const w3 = w2 + inner;
    let a0 = 0;
    let a1 = 0;
    let a2 = 0;
    let a3 = 0;
    for (let i = 0; i < inner; i++) {
      const y = x[start + i]!;
      a0 += weight[w0 + i]! * y;
      a1 += weight[w1 + i]! * y;
      a2 += weight[w2 + i]! * y;
      a3 += weight[w3 + i]! * y;
    }
    const at = row * outer + o;
    out[at] = a0;
    out[at + 1] = a1;
    out[at + 2] = a2;
    out[at + 3] = a3;
  }
  for (let o = blocks; o < outer; o++) {
    out[row * outer + o] = dot(weight, o * inner, { x, start, inner });
  }
}

function dot(
  weight: Numbers,
  weightStart: number,
  { x, start, inner }: { x: Numbers; start: number; inner: number },
): number {
  let sum = 0;
  for (let i = 0; i < inner; i++) sum += weight[weightStart + i]! * x[start + i]!;
  return sum;
}
