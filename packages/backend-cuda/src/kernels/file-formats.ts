import type { WeightFormat } from '@rwkv-ts/backend';

/** Order of the codes in native/kernels/file-formats.cuh. */
const formats: readonly WeightFormat[] = [
  'f32',
  'f16',
  'bf16',
  'q8_0',
  'q4_0',
  'q4_1',
  'q5_0',
  'q5_1',
  'q4_k',
  'q5_k',
  'q6_k',
];

/** Of rows that lie as a file has them: the table of an embedding, and vectors before they become parameters. */
export const fileFormatCode = (format: WeightFormat): number => formats.indexOf(format);
