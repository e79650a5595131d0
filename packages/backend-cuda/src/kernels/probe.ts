import type { Kernel } from './kernel.js';

/** Products of 16 x 8 x 16 that a warp does in a round. */
const products = 8;

/** Matrix units at work, `rounds` times; out [blocks · threads] f32. Reads no step. */
export const probeKernel = {
  name: 'probe',
  fields: { out: 'pointer', rounds: 'count' },
  threads: 256,
  sharedBytes: 0,
  rowsPerBlock: 1,
} as const satisfies Kernel;

/** Blocks that keep a multiprocessor busy. */
export const probeBlocks = 2;

/** Multiplications and additions that a block does in a round. */
export const probeOperations = (probeKernel.threads / 32) * products * 2 * 16 * 8 * 16;
