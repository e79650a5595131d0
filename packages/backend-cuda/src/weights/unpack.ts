/** A matrix in the layout of the kernels, on the host: for a program that reads it otherwise than it was uploaded for. */
import { bf16ToF32, f16ToF32 } from '@rwkv-ts/formats';
import { formatLayouts, placeMatrix, rowBytes, type StoredMatrix } from './layout.js';

/** Columns that share scales. */
const block = 32;

/** The numbers, row by row; each as the products' kernels decode it. */
export function unpackMatrix(matrix: StoredMatrix, packed: Uint8Array): Float32Array<ArrayBuffer> {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.length);
  const { rows, columns } = matrix;
  const numbers = new Float32Array(rows * columns);
  const isPlain = formatLayouts[matrix.format].block === 1;
  const fill = isPlain ? plainReader(matrix, view) : blockReader(matrix, view);
  for (let row = 0; row < rows; row++) fill(row, numbers.subarray(row * columns));
  return numbers;
}

type FillRow = (row: number, to: Float32Array) => void;

function plainReader({ format, layout, rows, columns }: StoredMatrix, view: DataView): FillRow {
  const { stride } = placeMatrix({ format, layout, rows, columns });
  const read: (index: number) => number =
    format === 'f32'
      ? (index) => view.getFloat32(4 * index, true)
      : (index) => (format === 'f16' ? f16ToF32 : bf16ToF32)(view.getUint16(2 * index, true));
  return (row, to) => {
    for (let column = 0; column < columns; column++)
      to[column] = read(layout === 'columns' ? column * stride + row : row * stride + column);
  };
}

/** native/kernels/weight-formats.cuh says which bit is whose. */
function blockReader({ format, layout, rows, columns }: StoredMatrix, view: DataView): FillRow {
  const { highsAt, scalesAt } = placeMatrix({ format, layout, rows, columns });
  const bytes = rowBytes(format, columns);
  const { bits, highBits } = formatLayouts[format];
  const high = (at: number, group: number, byte: number): number => {
    if (highBits === 1) return ((view.getUint8(at + byte) >> group) & 1) << 4;
    const word = at + 4 * (group >> 2);
    return ((view.getUint8(word + byte) >> (2 * (group & 3))) & 3) << 4;
  };
  return (row, to) => {
    for (let index = 0; index < columns / block; index++) {
      const quants = row * bytes.quants + index * bits * 4;
      const highs = highsAt + row * bytes.highs + index * highBits * 4;
      const scales = scalesAt + row * bytes.scales;
      for (let n = 0; n < block; n++) {
        const group = n >> 2;
        // Of a group's numbers 0 1 2 3, the bytes of a word have 0 2 1 3.
        const byte = [0, 2, 1, 3][n & 3]!;
        let q: number;
        if (bits === 8) q = view.getInt8(quants + 4 * group + byte);
        else {
          const both = view.getUint8(quants + 4 * (group & 3) + byte);
          q = group < 4 ? both & 15 : both >> 4;
          if (highBits > 0) q |= high(highs, group, byte);
        }
        const { factor, summand, zero } = scalesOf(format, { view, scales, index, n });
        to[index * block + n] = factor * (q - zero) + summand;
      }
    }
  };
}

function scalesOf(
  format: StoredMatrix['format'],
  at: { view: DataView; scales: number; index: number; n: number },
): { factor: number; summand: number; zero: number } {
  const { view, scales, index, n } = at;
  const half = (offset: number) => f16ToF32(view.getUint16(scales + offset, true));
  switch (format) {
    case 'q4_0':
    case 'q5_0':
      return { factor: half(2 * index), summand: 0, zero: format === 'q4_0' ? 8 : 16 };
    case 'q4_1':
    case 'q5_1':
      return { factor: half(4 * index), summand: half(4 * index + 2), zero: 0 };
    case 'q4_k':
    case 'q5_k':
    case 'q6_k': {
      const head = 20 * (index >> 3);
      const own = scales + head + 4 + 2 * (index & 7);
      if (format === 'q6_k') {
        return { factor: half(head) * view.getInt8(own + (n >> 4)), summand: 0, zero: 32 };
      }
      const minimum = half(head + 2) * view.getUint8(own + 1);
      return { factor: half(head) * view.getUint8(own), summand: -minimum, zero: 0 };
    }
    default:
      return { factor: half(2 * index), summand: 0, zero: 0 };
  }
}
