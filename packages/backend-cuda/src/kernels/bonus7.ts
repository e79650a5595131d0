import type { Kernel } from './kernel.js';

/** The grid's y are the heads, of `size` channels. */
export const bonus7Kernel = {
  name: 'bonus7',
  fields: {
    r: 'rows',
    k: 'rows',
    v: 'rows',
    by: 'rows',
    out: 'rows',
    rows: 'count',
    size: 'count',
  },
  threads: 64,
  sharedBytes: 0,
  rowsPerBlock: 1,
} as const satisfies Kernel;
