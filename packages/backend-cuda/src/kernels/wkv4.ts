import type { Kernel } from './kernel.js';

/** Channels that a block does; blocks for all channels are the grid's y. */
export const wkv4Channels = 32;

/** The rows of the launch are sequences. */
export const wkv4Kernel = {
  name: 'wkv4',
  fields: {
    k: 'rows',
    v: 'rows',
    decay: 'rows',
    first: 'rows',
    out: 'rows',
    state: 'pointer',
    width: 'count',
  },
  threads: 32,
  sharedBytes: 0,
  rowsPerBlock: 1,
} as const satisfies Kernel;
