import type { Numbers } from '../numbers.js';
import type { Prepare } from './context.js';

/** out = the largest numbers, their columns, Σ exp(x - largest); x [_, W] to out [_, 2 count + 1]. */
export const prepareTopK: Prepare<'top-k'> = (op, context) => {
  const { step } = context;
  const { count } = op;
  const { rows, width } = op.x;
  const x = context.value(op.x);
  const out = context.value(op.out);
  return () => {
    for (let r = 0; r < step.rows[rows]; r++) {
      const row = x.subarray(r * width, (r + 1) * width);
      const start = r * op.out.width;
      const numbers = out.subarray(start, start + count);
      findLargest(row, numbers, out.subarray(start + count, start + 2 * count));
      out[start + 2 * count] = mass(row);
    }
  };
};

/** Sorts each number in from the smallest of the best so far, which most numbers do not reach. */
function findLargest(row: Numbers, numbers: Numbers, columns: Numbers): void {
  const count = numbers.length;
  let found = 0;
  for (let c = 0; c < row.length; c++) {
    const number = row[c]!;
    if (found === count && !(number > numbers[count - 1]!)) continue;
    let at = found < count ? found++ : count - 1;
    for (; at > 0 && numbers[at - 1]! < number; at--) {
      numbers[at] = numbers[at - 1]!;
      columns[at] = columns[at - 1]!;
    }
    numbers[at] = number;
    columns[at] = c;
  }
}

/** 0 where the row has no largest number or an infinite one. */
function mass(row: Numbers): number {
  let largest = -Infinity;
  for (const number of row) largest = Math.max(largest, number);
  if (!Number.isFinite(largest)) return 0;
  let sum = 0;
  for (const number of row) sum += Math.exp(number - largest);
  return sum;
}
