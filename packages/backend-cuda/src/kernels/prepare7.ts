import type { Kernel } from './kernel.js';

/** The grid's y are the heads, of `size` channels; `v`, `first`, `amount` and `value` are null without a residual. */
export const prepare7Kernel = {
  name: 'prepare7',
  fields: {
    k: 'rows',
    rate: 'rows',
    removal: 'rows',
    replacement: 'rows',
    key: 'rows',
    a: 'rows',
    b: 'rows',
    v: 'rows',
    first: 'rows',
    amount: 'rows',
    value: 'rows',
    rows: 'count',
    size: 'count',
    floor: 'number',
  },
  threads: 64,
  sharedBytes: 0,
  rowsPerBlock: 1,
} as const satisfies Kernel;
