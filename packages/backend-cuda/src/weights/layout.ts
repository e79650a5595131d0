/**
 * How a matrix [rows, columns] lies on the device. Bits stay as the file has them; only their places change.
 *
 * `rows`: up to three regions, each row by row, a row filled with zeros to a multiple of 16 bytes, so that a lane reads
 * 16 bytes of quants at once and neighbouring lanes read what lies together:
 *
 * - quants: plain numbers; or signed bytes (q8_0); or nibbles, 16 bytes for a block of 32 numbers;
 * - highs: of a block of 32 the fifth bits (one word) or the fifth and sixth bits (two words);
 * - scales: f16 for a block, or two of them; for k formats five words for 256 numbers: two f16, then two bytes a block.
 *
 * native/kernels/weight-formats.cuh says which bit is whose.
 *
 * `columns`: plain matrices that are multiplied by vectors of mostly zeros lie column by column, a column [rows] filled
 * with zeros to a multiple of 16 bytes: what is multiplied by zero need not be read.
 */
import type { WeightFormat } from '@rwkv-ts/backend';

export type MatrixLayout = 'rows' | 'columns';

interface FormatLayout {
  /** Bits of a number in the region of quants. */
  readonly bits: 32 | 16 | 8 | 4;
  readonly highBits: 0 | 1 | 2;
  /** Bytes of the scales of 256 numbers. */
  readonly scaleBytes: 0 | 16 | 32 | 20;
  /** Numbers of a block in the file; columns are a multiple of it. */
  readonly block: 1 | 32 | 256;
}

const plain = { highBits: 0, scaleBytes: 0, block: 1 } as const;
export const formatLayouts: { readonly [F in WeightFormat]: FormatLayout } = {
  f32: { bits: 32, ...plain },
  f16: { bits: 16, ...plain },
  bf16: { bits: 16, ...plain },
  q8_0: { bits: 8, highBits: 0, scaleBytes: 16, block: 32 },
  q4_0: { bits: 4, highBits: 0, scaleBytes: 16, block: 32 },
  q4_1: { bits: 4, highBits: 0, scaleBytes: 32, block: 32 },
  q5_0: { bits: 4, highBits: 1, scaleBytes: 16, block: 32 },
  q5_1: { bits: 4, highBits: 1, scaleBytes: 32, block: 32 },
  q4_k: { bits: 4, highBits: 0, scaleBytes: 20, block: 256 },
  q5_k: { bits: 4, highBits: 1, scaleBytes: 20, block: 256 },
  q6_k: { bits: 4, highBits: 2, scaleBytes: 20, block: 256 },
};

export const weightFormats = Object.keys(formatLayouts) as readonly WeightFormat[];

export interface MatrixShape {
  readonly rows: number;
  readonly columns: number;
}

export interface StoredMatrix extends MatrixShape {
  readonly format: WeightFormat;
  /** `columns` is for f32, f16 and bf16. */
  readonly layout: MatrixLayout;
}

/** In bytes from the matrix' first, which lies at a multiple of `matrixAlignment`; regions a format lacks are empty. */
export interface MatrixPlace {
  readonly highsAt: number;
  readonly scalesAt: number;
  readonly bytes: number;
  /** Of `Matrix.stride`: numbers from one stored row, or column, to the next. */
  readonly stride: number;
}

export const matrixAlignment = 256;

const roundUp = (value: number, unit: number): number => Math.ceil(value / unit) * unit;

/** Bytes of one row in each region. */
export function rowBytes(format: WeightFormat, columns: number) {
  const { bits, highBits, scaleBytes } = formatLayouts[format];
  return {
    quants: roundUp((columns * bits) / 8, 16),
    highs: roundUp((columns * highBits) / 8, 16),
    scales: roundUp((columns * scaleBytes) / 256, 16),
  };
}

export function placeMatrix({ format, layout, rows, columns }: StoredMatrix): MatrixPlace {
  const [count, length] = layout === 'columns' ? [columns, rows] : [rows, columns];
  const { quants, highs, scales } = rowBytes(format, length);
  const highsAt = roundUp(count * quants, matrixAlignment);
  const scalesAt = highsAt + roundUp(count * highs, matrixAlignment);
  return {
    highsAt,
    scalesAt,
    bytes: scalesAt + roundUp(count * scales, matrixAlignment),
    stride: (quants * 8) / formatLayouts[format].bits,
  };
}
