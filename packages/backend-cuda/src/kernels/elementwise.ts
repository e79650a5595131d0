import type { Kernel } from './kernel.js';

/** Columns of a row that a block covers; blocks for all columns are the grid's y. */
export const elementwiseColumns = 1024;

const common = { threads: 256, sharedBytes: 0, rowsPerBlock: 1 } as const;
const own = { rows: 'count', width: 'count' } as const;

export const lerpKernel = {
  name: 'lerp',
  fields: { x: 'rows', y: 'rows', by: 'rows', out: 'rows', ...own },
  ...common,
} as const satisfies Kernel;

export const addKernel = {
  name: 'add',
  fields: { x: 'rows', y: 'rows', out: 'rows', ...own },
  ...common,
} as const satisfies Kernel;

export const mulKernel = {
  name: 'mul',
  fields: { x: 'rows', y: 'rows', out: 'rows', ...own },
  ...common,
} as const satisfies Kernel;

export const scaleKernel = {
  name: 'scale',
  fields: { x: 'rows', out: 'rows', ...own, factor: 'number' },
  ...common,
} as const satisfies Kernel;

export const activateKernel = {
  name: 'activate',
  fields: { x: 'rows', out: 'rows', ...own, activation: 'count' },
  ...common,
} as const satisfies Kernel;

/** A slice is a copy from a column further on. */
export const copyKernel = {
  name: 'copy',
  fields: { x: 'rows', out: 'rows', ...own },
  ...common,
} as const satisfies Kernel;

/** Its rows are the wanted ones. */
export const selectRowsKernel = {
  name: 'select_rows',
  fields: { x: 'rows', out: 'rows', width: 'count' },
  ...common,
} as const satisfies Kernel;
