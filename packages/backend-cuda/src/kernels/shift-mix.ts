import type { Kernel } from './kernel.js';

const threads = 512;

/**
 * A row of the launch is a token, the grid's y the parts of `part` columns. `weight`, `bias`, `normed`, `shifted` and
 * `difference` may be null; `state` is null where the op has none. `mixes` counts the jobs.
 */
export const shiftMixKernel = {
  name: 'shift_mix',
  fields: {
    x: 'rows',
    weight: 'rows',
    bias: 'rows',
    normed: 'rows',
    shifted: 'rows',
    difference: 'rows',
    state: 'pointer',
    width: 'count',
    part: 'count',
    toward_current: 'count',
    mixes: 'count',
    eps: 'number',
  },
  jobs: { fields: { by: 'rows', out: 'rows' }, most: 8 },
  threads,
  sharedBytes: 0,
  rowsPerBlock: 1,
} as const satisfies Kernel;

/** Blocks that a device of today does at once. */
const blocksAtOnce = 128;

/**
 * Columns of a part, for a launch of `rows` tokens. A block computes the moments of its whole row, so parts cost reading
 * x again; but a single block is slow to read the parameters of all its mixes.
 */
export function shiftMixPart({ width, rows }: { readonly width: number; readonly rows: number }) {
  const pieces = Math.ceil(width / threads);
  const parts = Math.max(1, Math.min(pieces, Math.floor(blocksAtOnce / rows)));
  return Math.ceil(pieces / parts) * threads;
}
