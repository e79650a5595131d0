import type { Fields, Kernel } from './kernel.js';

/**
 * `weight` and `bias` are null without the per-head norm, `gate` without a gate. `longest`: sequences of more tokens are
 * left alone; the kernels over chunks take those and leave the others alone.
 */
export const wkv6Fields = {
  r: 'rows',
  k: 'rows',
  v: 'rows',
  decay: 'rows',
  first: 'rows',
  weight: 'rows',
  bias: 'rows',
  gate: 'rows',
  out: 'rows',
  state: 'pointer',
  scratch: 'pointer',
  size: 'count',
  longest: 'count',
  eps: 'number',
} as const satisfies Fields;

/** Threads of the kernels whose head size is known. */
const threads: Readonly<Record<number, number>> = { 32: 96, 64: 256, 128: 640 };

/** Tokens that the kernel of any head size takes at once. */
const tokensAtOnce = 4;

/** For heads of `size`, at most 256. The rows of the launch are sequences, the grid's y are the heads. */
export function wkv6Kernel(size: number): Kernel {
  const common = { fields: wkv6Fields, rowsPerBlock: 1 };
  const own = threads[size];
  if (own) return { name: `wkv6_${size}`, ...common, threads: own, sharedBytes: 0 };
  return {
    name: 'wkv6_any',
    ...common,
    threads: 256,
    sharedBytes: 4 * tokensAtOnce * (6 * size + 1),
  };
}
