import type { Kernel } from './kernel.js';

const own = { rows: 'count', part: 'count', eps: 'number' } as const;

/** A block for each row (x) and each of the groups (y). */
export const normKernel = {
  name: 'norm',
  fields: { x: 'rows', out: 'rows', weight: 'rows', bias: 'rows', ...own },
  threads: 1024,
  sharedBytes: 0,
  rowsPerBlock: 1,
} as const satisfies Kernel;

export const l2NormKernel = {
  name: 'l2_norm',
  fields: { x: 'rows', out: 'rows', ...own },
  threads: 64,
  sharedBytes: 0,
  rowsPerBlock: 1,
} as const satisfies Kernel;
