/**
 * How a matrix [rows, columns] lies in a buffer: row by row, each in **granules** of eight numbers, columns rounded up to
 * whole granules with zeros. Block formats keep their bits in up to three regions, each row by row, so that every read is
 * an aligned word and neighbouring lanes read neighbouring words:
 *
 * - quants: bytes (q8_0: two words a granule) or nibbles (one word: byte i holds number i low, number i + 4 high);
 * - highs: the fifth bits, one word for 32 numbers, or the fifth and sixth bits, one word for 16;
 * - scales: as `scales` below says.
 *
 * A plain matrix that is multiplied by vectors of mostly zeros lies in **columns** instead: in panels of 32 rows, filled up
 * with zeros, each of which has the 32 numbers of its first column, then those of the second, up to a multiple of eight
 * columns. What is multiplied by zero need not be read, and neighbouring lanes still read what lies together.
 *
 * Large matrices lie in several buffers (**parts**), cut between rows, because a binding has a limit.
 */
import type { WeightFormat } from '@rwkv-ts/backend';

/**
 * Of a row of blocks. `halves`: two f16 in a word, one for 32 numbers. `pairs`: a word for 32 numbers, scale and minimum in
 * f16. `k`: four words for 256 numbers, as GGML has them: two f16, then twelve bytes of 6-bit scales and minima.
 * `six`: five words for 256 numbers: sixteen 8-bit scales, one f16.
 */
export type ScaleLayout = 'none' | 'halves' | 'pairs' | 'k' | 'six';

export interface FormatLayout {
  /** What a kernel reads: the WGSL type of the buffer's elements. */
  readonly element: 'vec4f' | 'vec4u' | 'u32';
  /** Bits of a number in the region of quants. */
  readonly bits: 32 | 16 | 8 | 4;
  readonly highBits: 0 | 1 | 2;
  readonly scales: ScaleLayout;
  /** What is subtracted from the integers before they are scaled. */
  readonly zero: number;
}

const plain = { highBits: 0, scales: 'none', zero: 0 } as const;
export const formatLayouts: { readonly [F in WeightFormat]: FormatLayout } = {
  f32: { element: 'vec4f', bits: 32, ...plain },
  f16: { element: 'vec4u', bits: 16, ...plain },
  bf16: { element: 'vec4u', bits: 16, ...plain },
  q8_0: { element: 'u32', bits: 8, highBits: 0, scales: 'halves', zero: 0 },
  q4_0: { element: 'u32', bits: 4, highBits: 0, scales: 'halves', zero: 8 },
  q4_1: { element: 'u32', bits: 4, highBits: 0, scales: 'pairs', zero: 0 },
  q5_0: { element: 'u32', bits: 4, highBits: 1, scales: 'halves', zero: 16 },
  q5_1: { element: 'u32', bits: 4, highBits: 1, scales: 'pairs', zero: 0 },
  q4_k: { element: 'u32', bits: 4, highBits: 0, scales: 'k', zero: 0 },
  q5_k: { element: 'u32', bits: 4, highBits: 1, scales: 'k', zero: 0 },
  q6_k: { element: 'u32', bits: 4, highBits: 2, scales: 'six', zero: 32 },
};

export type MatrixLayout = 'rows' | 'columns';

/** Of a panel of a matrix in columns. */
export const panelRows = 32;

export const weightFormats = Object.keys(formatLayouts) as readonly WeightFormat[];

/** Words of one row in each region. */
export interface RowWords {
  readonly quants: number;
  readonly highs: number;
  readonly scales: number;
}

export function rowWords(format: WeightFormat, columns: number): RowWords {
  const { bits, highBits, scales } = formatLayouts[format];
  const padded = Math.ceil(columns / 8) * 8;
  const perRow: { readonly [S in ScaleLayout]: number } = {
    none: 0,
    halves: Math.ceil(columns / 64),
    pairs: columns / 32,
    k: (columns / 256) * 4,
    six: (columns / 256) * 5,
  };
  return {
    quants: (padded * bits) / 32,
    highs: (padded * highBits) / 32,
    scales: perRow[scales],
  };
}

/** Rows that lie in one buffer, and where its regions begin, in words. */
export interface PartLayout {
  readonly firstRow: number;
  readonly rows: number;
  readonly highsAt: number;
  readonly scalesAt: number;
  readonly bytes: number;
}

/**
 * Cuts a matrix so that no part is larger than `limit` bytes; parts begin at multiples of 8 rows, as results are written
 * in eights, or of panels. Empty when not even so many rows fit.
 */
export function cutParts(
  format: WeightFormat,
  {
    rows,
    columns,
    layout,
  }: { readonly rows: number; readonly columns: number; readonly layout: MatrixLayout },
  limit: number,
): PartLayout[] {
  const words = rowWords(format, columns);
  const rowBytes = 4 * (words.quants + words.highs + words.scales);
  const unit = layout === 'columns' ? panelRows : 8;
  const stored = (count: number) =>
    layout === 'columns' ? Math.ceil(count / panelRows) * panelRows : count;
  const whole = stored(rows) * rowBytes <= limit;
  const most = whole ? rows : Math.floor(limit / rowBytes / unit) * unit;
  const parts: PartLayout[] = [];
  if (most === 0) return parts;
  for (let firstRow = 0; firstRow < rows; firstRow += most) {
    const count = Math.min(most, rows - firstRow);
    const highsAt = stored(count) * words.quants;
    const scalesAt = highsAt + count * words.highs;
    parts.push({
      firstRow,
      rows: count,
      highsAt,
      scalesAt,
      bytes: 4 * (scalesAt + count * words.scales),
    });
  }
  return parts;
}
