/**
 * out[r, o] = residual[r, o] + gate[r, o] activation(bias[o] + Σ_i x[r, i] W[o, i]), each part but the product optional.
 * A launch does up to `mostJobs` such products, whose matrices share a format and a layout: the grid's x is for rows, its
 * y runs over the blocks of the first job, then of the second, and so on. native/kernels/linear.cuh is what the kernels
 * share.
 */
import type { WeightFormat } from '@rwkv-ts/backend';
import {
  formatLayouts,
  type MatrixLayout,
  type MatrixShape,
  weightFormats,
} from '../weights/layout.js';
import type { Kernel } from './kernel.js';
import type { PreparedForm } from './prepare.js';

export const mostJobs = 8;

/**
 * `x` is read by variants without `prepare`, `prepared` by those with it. `partials` and `counters` are for variants with
 * splits (`scratchOf`). `first_block`, `block_outputs` and `splits` are the job's first block along y, `outputsPerBlock`
 * and `splits` of the variant.
 */
const job = {
  matrix: 'matrix',
  x: 'rows',
  prepared: 'prepared',
  out: 'rows',
  bias: 'rows',
  gate: 'rows',
  residual: 'rows',
  partials: 'pointer',
  counters: 'pointer',
  activation: 'count',
  first_block: 'count',
  block_outputs: 'count',
  splits: 'count',
} as const;

export interface LinearVariant {
  /** Rows of x (of the bucket) up to which it is the best. */
  readonly mostRows: number;
  readonly kernel: Kernel;
  /** How it wants its rows of x. */
  readonly prepare?: PreparedForm;
  outputsPerBlock(columns: number): number;
  /** Parts that the sum over columns is cut into, each for a block of its own. */
  splits(matrix: MatrixShape): number;
}

/** A device's matrix units: `f16` alone before sm_80. */
export interface MatrixFeatures {
  readonly tensorCores: 'none' | 'f16' | 'all';
}

export interface LinearOptions {
  readonly format: WeightFormat;
  readonly layout: MatrixLayout;
  readonly features: MatrixFeatures;
}

/** Blocks along y of a job. */
export const jobBlocks = (variant: LinearVariant, matrix: MatrixShape): number =>
  outputTiles(variant, matrix) * variant.splits(matrix);

/**
 * What a job with splits needs: partial sums, at a multiple of 16 bytes, and counters, which are 0 before the first launch
 * and again after each. Jobs of one launch must not share; launches one after the other may.
 */
export function scratchOf(variant: LinearVariant, matrix: MatrixShape, rows: number) {
  const splits = variant.splits(matrix);
  if (splits === 1) return { partialBytes: 0, counterBytes: 0 };
  const { rowsPerBlock } = variant.kernel;
  const outputs = variant.outputsPerBlock(matrix.columns);
  const tiles = Math.ceil(rows / rowsPerBlock) * outputTiles(variant, matrix);
  return { partialBytes: 4 * tiles * splits * rowsPerBlock * outputs, counterBytes: 4 * tiles };
}

/** Variants in the order of their `mostRows`, the last of which is Infinity. */
export function linearVariants(options: LinearOptions): readonly LinearVariant[] {
  const { format, layout, features } = options;
  const units = preparedFor(format, features);
  if (layout === 'columns') {
    return [
      ...columnVariants(format),
      ...(units ? tiles(options, units) : [tile(`${format}_columns`)]),
    ];
  }
  const isPlain = formatLayouts[format].block === 1;
  const few = isPlain ? vectorVariants(format) : blockVariants(format);
  return [...few, ...(units ? matrixUnitVariants(options, units) : [tile(format)])];
}

const outputTiles = (variant: LinearVariant, { rows, columns }: MatrixShape): number =>
  Math.ceil(rows / variant.outputsPerBlock(columns));

/** As what matrix units take x, where they multiply the format at all; f32 weights are never rounded. */
function preparedFor(
  format: WeightFormat,
  { tensorCores }: MatrixFeatures,
): 'f16' | 'bf16' | undefined {
  if (format === 'f32' || tensorCores === 'none') return undefined;
  if (format === 'bf16') return tensorCores === 'all' ? 'bf16' : undefined;
  return 'f16';
}

interface Shape {
  readonly threads: number;
  readonly rowsPerBlock: number;
  readonly sharedBytes?: number;
}

const kernel = (name: string, { threads, rowsPerBlock, sharedBytes = 0 }: Shape): Kernel => ({
  name: `linear_${name}`,
  fields: { rows: 'count', job_count: 'count' },
  jobs: { fields: job, most: mostJobs },
  threads,
  sharedBytes,
  rowsPerBlock,
});

const whole = () => 1;
const vectorThreads = 128;

/**
 * Lanes that share an output: as many as there are pieces of 16 bytes (or blocks) in a row, down to a power of two, so
 * that a lane has about two of them in flight for each output; at least 8, at most all of a block.
 */
function lanesFor(pieces: number): number {
  let lanes = 8;
  while (lanes < vectorThreads && 2 * lanes <= pieces) lanes *= 2;
  return lanes;
}

/**
 * Products in f32 as exact as f32 is. Up to four rows the time is that of reading the weights; with eight, reading x takes
 * as long where weights have 16 bits, and matrix units need a small part of that. f32 has none, and twice the time.
 */
function vectorVariants(format: WeightFormat): LinearVariant[] {
  const granule = 128 / formatLayouts[format].bits;
  return (format === 'f32' ? [1, 2, 4, 8] : [1, 2, 4]).map((rows) => ({
    mostRows: rows,
    kernel: kernel(`vector_${format}_${rows}`, { threads: vectorThreads, rowsPerBlock: rows }),
    outputsPerBlock: (columns: number) =>
      4 * (vectorThreads / lanesFor(Math.ceil(columns / granule))),
    splits: whole,
  }));
}

/** Products of integers: with more rows than four their instructions, not the weights' bytes, would take the time. */
function blockVariants(format: WeightFormat): LinearVariant[] {
  return [1, 2, 4].map((rows) => ({
    mostRows: rows,
    kernel: kernel(`blocks_${format}_${rows}`, { threads: vectorThreads, rowsPerBlock: rows }),
    prepare: 'bytes' as const,
    outputsPerBlock: (columns: number) => 4 * (vectorThreads / lanesFor(columns / 32)),
    splits: whole,
  }));
}

/**
 * Up to 32 rows every block reads all of x, 32 of its rows for 32 of the matrix: beyond, reading x from L2 would take
 * longer than the weights from memory, and tiles read it once for 64 rows of the matrix.
 */
function matrixUnitVariants(options: LinearOptions, prepare: PreparedForm): LinearVariant[] {
  const few = [8, 16, 32].map((rows) => ({
    mostRows: rows,
    kernel: kernel(`few_${options.format}_${rows}`, { threads: 256, rowsPerBlock: rows }),
    prepare,
    outputsPerBlock: () => (rows === 8 ? 16 : 32),
    splits: whole,
  }));
  return [...few, ...tiles(options, prepare)];
}

interface SplitLimits {
  /** That keep a device of some 130 multiprocessors busy. */
  readonly blocks: number;
  /** Tiles of rows that there are. */
  readonly rowTiles: number;
  /** Of a tile. */
  readonly outputs: number;
  /** Columns of a part, below which its sums cost more than they help. */
  readonly fewest: number;
}

/** Parts of a long sum, where its tiles are too few. */
const splitsToFill =
  ({ blocks, rowTiles, outputs, fewest }: SplitLimits) =>
  ({ rows, columns }: MatrixShape): number => {
    const parts = Math.floor(blocks / (rowTiles * Math.ceil(rows / outputs)));
    return Math.max(1, Math.min(8, parts, Math.floor(columns / fewest)));
  };

/**
 * Tiles of 64 rows of x and 64 of the matrix are four times as many blocks as tiles of 128, which read half as much for a
 * product and are the better ones once there are enough of them. Up to 64 rows the weights are read once, by as many blocks
 * as keep the memory busy. Beyond 512 rows tiles of 128 rows and 256 outputs read less yet; they take 96 KiB of shared
 * memory, which devices have from sm_80 on, and more registers than are left where weights are decoded.
 */
function tiles(
  { format, layout, features }: LinearOptions,
  prepare: PreparedForm,
): LinearVariant[] {
  const name = layout === 'columns' ? `mma_${format}_columns` : `mma_${format}`;
  const small = kernel(`${name}_64`, { threads: 128, rowsPerBlock: 64, sharedBytes: 49_152 });
  const large = kernel(`${name}_128`, { threads: 128, rowsPerBlock: 128, sharedBytes: 49_152 });
  const wide = kernel(`${name}_256`, { threads: 256, rowsPerBlock: 128, sharedBytes: 98_304 });
  const hasWide = features.tensorCores === 'all' && formatLayouts[format].block === 1;
  const own = (
    mostRows: number,
    of: Kernel,
    outputsOfTile: number,
    splits: LinearVariant['splits'] = whole,
  ) => ({ mostRows, kernel: of, prepare, outputsPerBlock: () => outputsOfTile, splits });
  const [largest, outputs, blocks] = hasWide
    ? ([wide, 256, 132] as const)
    : ([large, 128, 264] as const);
  return [
    own(64, small, 64, splitsToFill({ blocks: 264, rowTiles: 1, outputs: 64, fewest: 512 })),
    own(256, small, 64),
    own(512, large, 128, splitsToFill({ blocks: 264, rowTiles: 3, outputs: 128, fewest: 2048 })),
    own(1024, largest, outputs, splitsToFill({ blocks, rowTiles: 8, outputs, fewest: 4096 })),
    own(Infinity, largest, outputs),
  ];
}

/** f32 arithmetic in tiles: every format, every device. */
const tile = (name: string): LinearVariant => ({
  mostRows: Infinity,
  kernel: kernel(`tile_${name}`, { threads: 256, rowsPerBlock: 64 }),
  outputsPerBlock: () => 64,
  splits: whole,
});

/**
 * Reads the columns that no zero meets. A column that only one of several rows needs is read for all, so with more than
 * four rows hardly one is left out.
 */
function columnVariants(format: WeightFormat): LinearVariant[] {
  return [1, 4].map((rows) => ({
    mostRows: rows,
    kernel: kernel(`columns_${format}_${rows}`, { threads: 128, rowsPerBlock: rows }),
    outputsPerBlock: () => 256,
    splits: ({ columns }: MatrixShape) => Math.max(1, Math.min(32, Math.floor(columns / 128))),
  }));
}

/** Every kernel of products. */
export const linearKernels: readonly Kernel[] = [
  ...new Map(
    weightFormats
      .flatMap((format) =>
        (formatLayouts[format].block === 1
          ? (['rows', 'columns'] as const)
          : (['rows'] as const)
        ).flatMap((layout) =>
          (['none', 'f16', 'all'] as const).flatMap((tensorCores) =>
            linearVariants({ format, layout, features: { tensorCores } }),
          ),
        ),
      )
      .map(({ kernel }) => [kernel.name, kernel]),
  ).values(),
];
