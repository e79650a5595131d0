import type { Kernel } from './kernel.js';
import { wkv6Fields } from './wkv6.js';

/** The head size that these kernels take. */
export const wkv6ChunkSize = 64;

const common = { fields: wkv6Fields, sharedBytes: 0 } as const;

/**
 * First, what the state does not enter: the rows of the launch are tokens, the grid's y are the heads. `scratch` is for the
 * first two kernels.
 */
export const wkv6ChunksKernel = {
  name: 'wkv6_chunks',
  ...common,
  threads: 256,
  rowsPerBlock: 8,
} as const satisfies Kernel;

/** Blocks for each head along the grid's y in `wkv6_carry`. */
export const wkv6CarryBlocks = 4;

/** Then the state, from chunk to chunk: the rows are sequences. */
export const wkv6CarryKernel = {
  name: 'wkv6_carry',
  ...common,
  threads: 128,
  rowsPerBlock: 1,
} as const satisfies Kernel;

/** Last, norm and gate, where there is either: the rows are tokens, the grid's y are the heads. */
export const wkv6FinishKernel = {
  name: 'wkv6_finish',
  ...common,
  threads: 256,
  rowsPerBlock: 8,
} as const satisfies Kernel;

/** Bytes of `scratch` for steps of at most `tokens`. */
export const wkv6ScratchBytes = ({ tokens, heads }: { tokens: number; heads: number }): number =>
  4 * Math.ceil(tokens / 16) * heads * (3 * 16 * wkv6ChunkSize + 2 * wkv6ChunkSize);
