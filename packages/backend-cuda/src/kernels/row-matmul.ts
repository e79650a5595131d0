import type { Kernel } from './kernel.js';

/** Columns of `out` that a block makes; blocks for all columns are the grid's y. */
export const rowMatmulColumns = 128;

/** `width` is that of out, `inner` that of x. */
export const rowMatmulKernel = {
  name: 'row_matmul',
  fields: { x: 'rows', m: 'rows', out: 'rows', rows: 'count', width: 'count', inner: 'count' },
  threads: 128,
  sharedBytes: 0,
  rowsPerBlock: 1,
} as const satisfies Kernel;
