import type { Kernel } from './kernel.js';
import { wkv7Fields } from './wkv7.js';

/** The head size that these kernels take. */
export const wkv7ChunkSize = 64;

const common = { fields: wkv7Fields, sharedBytes: 0 } as const;

/**
 * First, what the state does not enter: the rows of the launch are tokens, the grid's y are the heads. `scratch` is for all
 * three kernels.
 */
export const wkv7ChunksKernel = {
  name: 'wkv7_chunks',
  ...common,
  threads: 256,
  rowsPerBlock: 8,
} as const satisfies Kernel;

/** Blocks for each head along the grid's y in `wkv7_carry`. */
export const wkv7CarryBlocks = 4;

/** Then the state, from chunk to chunk: the rows are sequences. */
export const wkv7CarryKernel = {
  name: 'wkv7_carry',
  ...common,
  threads: 128,
  rowsPerBlock: 1,
} as const satisfies Kernel;

/** Last, norm, bonus and gate, where there are any: the rows are tokens, the grid's y are the heads. */
export const wkv7FinishKernel = {
  name: 'wkv7_finish',
  ...common,
  threads: 256,
  rowsPerBlock: 8,
} as const satisfies Kernel;

/** Bytes of `scratch` for steps of at most `tokens`. */
export const wkv7ScratchBytes = ({ tokens, heads }: { tokens: number; heads: number }): number =>
  4 * Math.ceil(tokens / 16) * heads * (7 * 16 * wkv7ChunkSize + 2 * wkv7ChunkSize + 16);
