/** Kernels that bring rows of a matrix, as the file has them, into its layout on the device (native/kernels/ops/pack.cuh). */
import type { WeightFormat } from '@rwkv-ts/backend';
import { formatLayouts, type StoredMatrix, weightFormats } from '../weights/layout.js';
import type { Kernel } from './kernel.js';

/**
 * `source` has `count` whole rows as the file has them, from row `first` of `matrix` on, at a multiple of 16 bytes. No
 * step is needed.
 */
const pack = (name: string): Kernel => ({
  name: `pack_${name}`,
  fields: { matrix: 'matrix', source: 'pointer', first: 'count', count: 'count' },
  threads: 256,
  sharedBytes: 0,
  rowsPerBlock: 1,
});

/** Rows and columns that a block transposes. */
const transposed = 32;

const blockFormats = weightFormats.filter((format) => formatLayouts[format].block > 1);
const blockKernels = new Map(blockFormats.map((format) => [format, pack(format)]));
const plainKernels = { 16: pack('16'), 32: pack('32') };
const columnKernels = { 16: pack('columns_16'), 32: pack('columns_32') };

export const packKernels: readonly Kernel[] = [
  ...blockKernels.values(),
  ...Object.values(plainKernels),
  ...Object.values(columnKernels),
];

export interface PackLaunch {
  readonly kernel: Kernel;
  /** Blocks along x and y. */
  readonly grid: readonly [number, number];
}

/** For a stretch of `rows` rows. */
export function packLaunch({ format, layout, rows, columns }: StoredMatrix): PackLaunch {
  const ofBlocks = blockKernels.get(format);
  if (ofBlocks) {
    return { kernel: ofBlocks, grid: [Math.ceil((rows * (columns / 32)) / ofBlocks.threads), 1] };
  }
  const width = plainWidth(format);
  if (layout === 'columns') {
    const grid = [Math.ceil(rows / transposed), Math.ceil(columns / transposed)] as const;
    return { kernel: columnKernels[width], grid };
  }
  const kernel = plainKernels[width];
  const granule = 128 / width;
  return { kernel, grid: [Math.ceil((rows * Math.ceil(columns / granule)) / kernel.threads), 1] };
}

const plainWidth = (format: WeightFormat): 16 | 32 => (format === 'f32' ? 32 : 16);
