import type { Kernel } from './kernel.js';

/** Columns of a row that a block covers; blocks for all columns are the grid's y. */
export const embedColumns = 1024;

/** Of each token; `format` is a `fileFormatCode`, `row_bytes` those of a row in the file, `takes_vectors` 0 or 1. */
export const embedKernel = {
  name: 'embed',
  fields: {
    table: 'pointer',
    out: 'rows',
    width: 'count',
    format: 'count',
    row_bytes: 'count',
    takes_vectors: 'count',
  },
  threads: 256,
  sharedBytes: 0,
  rowsPerBlock: 1,
} as const satisfies Kernel;
