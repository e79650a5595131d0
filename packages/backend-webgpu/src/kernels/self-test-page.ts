/** Matrices of self-tests in one page, as weights lie in theirs. */
import type { WeightFormat } from '@rwkv-ts/backend';
import { decode, encode } from '@rwkv-ts/formats';
import { formatLayouts, type MatrixLayout, rowWords } from '../weights/layout.js';
import { repackColumns, repackRows } from '../weights/repack.js';

export interface TestMatrix {
  readonly base: number;
  readonly granules: number;
  readonly highs: number;
  readonly scales: number;
  readonly at: (row: number, column: number) => number;
}

export interface TestPage {
  readonly words: Uint32Array<ArrayBuffer>;
  readonly matrices: readonly TestMatrix[];
}

/** `numbers` are those of all matrices, row by row; what is read is what the format makes of them. */
export function testPage(
  format: WeightFormat,
  parts: {
    readonly columns: number;
    readonly layout?: MatrixLayout;
    readonly rows: readonly number[];
    readonly numbers: Float32Array<ArrayBuffer>;
  },
): TestPage {
  const { columns, layout = 'rows', rows, numbers } = parts;
  const bytes = encode(format, numbers);
  const decoded = decode(format, bytes);
  const rowBytes = (bytes.length / numbers.length) * columns;
  const per = rowWords(format, columns);
  const all: number[] = [];
  const matrices: TestMatrix[] = [];
  let firstRow = 0;
  for (const count of rows) {
    while (all.length % 64 !== 0) all.push(0);
    const start = all.length;
    const part = { bytes, firstRow, count };
    if (layout === 'columns') all.push(...repackColumns({ format, columns }, part));
    else {
      const regions = repackRows({ format, columns, rowBytes }, part);
      all.push(...regions.quants, ...regions.highs, ...regions.scales);
    }
    const first = firstRow * columns;
    matrices.push({
      base: start / (formatLayouts[format].element === 'u32' ? 1 : 4),
      granules: Math.ceil(columns / 8),
      highs: start + count * per.quants,
      scales: start + count * (per.quants + per.highs),
      at: (row, column) => decoded[first + row * columns + column]!,
    });
    firstRow += count;
  }
  return { words: Uint32Array.from(all), matrices };
}

/** Of self-tests: whole blocks where there are any, else a last granule that is not full. */
export const testColumns = (format: WeightFormat): number =>
  formatLayouts[format].bits >= 16 ? 71 : 256;

/** The fields of a matrix in a node that has one. */
export const matrixFieldsOf = ({ base, granules, highs, scales }: TestMatrix) => ({
  base,
  granules,
  highs,
  scales,
});
