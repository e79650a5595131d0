import type { Kernel } from './kernel.js';

/**
 * A vector weight [count] as the file has it to f32 [count · repeat]. The rows of the launch are its numbers; no step is
 * read. `format` is a `fileFormatCode`, `activation` an `activationCode`.
 */
export const parameterKernel = {
  name: 'parameter',
  fields: {
    weight: 'pointer',
    out: 'pointer',
    count: 'count',
    format: 'count',
    activation: 'count',
    repeat: 'count',
  },
  threads: 256,
  sharedBytes: 0,
  rowsPerBlock: 256,
} as const satisfies Kernel;
