import type { Kernel } from './kernel.js';

/** Columns that a block sorts, and the most numbers that a list holds. */
export const topKChunk = 2048;

/** Length of the lists that hold `count` numbers; `count` is at most `topKChunk`. */
export const topKLength = (count: number): number => 2 ** Math.ceil(Math.log2(count));

/** Numbers of a list: its numbers, their columns, its largest number and the sum. Rows of lists lie without gaps. */
export const topKListWidth = (length: number): number => 2 * length + 2;

/** Lists that a block of `top_k_merge` makes one of: a power of two. */
export const topKFan = (length: number): number => Math.min(64, (2 * topKChunk) / length);

/** Makes a list of each chunk of a row: blocks for all chunks are the grid's y. */
export const topKKernel = {
  name: 'top_k',
  fields: { x: 'rows', lists: 'rows', rows: 'count', width: 'count', length: 'count' },
  threads: 512,
  sharedBytes: 0,
  rowsPerBlock: 1,
} as const satisfies Kernel;

/**
 * Makes a list of each `fan` of the `count` lists of a row, blocks for which are the grid's y. Where that is one block, it
 * writes the op's row instead: `wanted` numbers, as many columns and the sum.
 */
export const topKMergeKernel = {
  name: 'top_k_merge',
  fields: {
    lists: 'rows',
    out: 'rows',
    rows: 'count',
    count: 'count',
    length: 'count',
    fan: 'count',
    wanted: 'count',
  },
  threads: 512,
  sharedBytes: 0,
  rowsPerBlock: 1,
} as const satisfies Kernel;
