import type { Fields, Kernel } from './kernel.js';

/**
 * With `removal` the kernel prepares key, a and b itself: k is the raw key, `a` and `b` are null, `rate` and
 * `replacement` given; with `amount` also the value, from v and `first`. Without `removal`, `rate` and `replacement`
 * (and without `amount`, `first`) are null. `weight` null: no norm, bonus (`by`) and gate. `longest`: sequences of more
 * tokens are left alone; the kernels over chunks take those and leave the others alone.
 */
export const wkv7Fields = {
  r: 'rows',
  w: 'rows',
  k: 'rows',
  v: 'rows',
  a: 'rows',
  b: 'rows',
  rate: 'rows',
  first: 'rows',
  amount: 'rows',
  removal: 'rows',
  replacement: 'rows',
  by: 'rows',
  weight: 'rows',
  bias: 'rows',
  gate: 'rows',
  out: 'rows',
  state: 'pointer',
  scratch: 'pointer',
  size: 'count',
  longest: 'count',
  floor: 'number',
  eps: 'number',
} as const satisfies Fields;

/** Threads of the kernels whose head size is known. */
const threads: Readonly<Record<number, number>> = { 32: 96, 64: 256, 128: 640 };

/** Tokens that the kernel of any head size takes at once. */
const tokensAtOnce = 4;

/** For heads of `size`, at most 256. The rows of the launch are sequences, the grid's y are the heads. */
export function wkv7Kernel(size: number): Kernel {
  const common = { fields: wkv7Fields, rowsPerBlock: 1 };
  const own = threads[size];
  if (own) return { name: `wkv7_${size}`, ...common, threads: own, sharedBytes: 0 };
  return {
    name: 'wkv7_any',
    ...common,
    threads: 256,
    sharedBytes: 4 * tokensAtOnce * (9 * size + 4),
  };
}
